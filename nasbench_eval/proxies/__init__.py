"""Zero-cost proxies: one module a proxy, found by its name."""

from nasbench_eval.proxies.base import Proxy, ProxyInfo

__all__ = ["Proxy", "ProxyInfo"]
