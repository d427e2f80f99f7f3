"""What the record of a run, `run.json`, says, and what may be added to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nasbench_eval import registry
from nasbench_eval.errors import UsageError
from nasbench_eval.wording import first_line

Record = Mapping[str, Any]

# Options that decide scores or sample, and what held before they existed: a record without them means these.
LATER = {"sampling": "uniform", "dedupe": "none", "precision": "float32"}
# What it says of a run that is finished.
OUTCOME = ("finished", "seconds_last_session", "scores_sha256", "cells", "rows", "copied", "reused")
# What a training of `nasbench-train` is called where a run of scores has a proxy's name.
TRAINED = "trained"
# What a record says of the sample, which the shards of a run have to agree about.
SAMPLE = ("n", "sample", "sample_seed", "truth")
# What a record says of a search that does not name it: how long it goes on, and what it had to go by.
BUDGET = ("steps", "budget", "members", "whence")
# What a record says of the machinery of its last session.
MACHINERY = ("versions", "commit", "device", "device_name", "processor", "sources", "images")
# What has to be known of a run before anything can be said of its scores.
_PARTS: dict[str, type] = {
    "space": dict,
    "seed": int,
    "datasets": dict,
    "proxies": dict,
    "n": int,
    "device": str,
    "versions": dict,
}
# What need not be there, but has to be of its kind.
_OPTIONAL: dict[str, type] = {
    "rows": dict,
    "earlier": list,
    "images": dict,
    "finished": str,
    "scores_sha256": str,
    "sample_seed": int,
}


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a run.

    Raises:
        UsageError: if it cannot be read, or lacks what decides the scores.
    """
    file = folder / "run.json"
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read ({first_line(error)})") from error
    if not isinstance(run, dict):
        raise UsageError(f"{file} holds no record of a run")
    if wrong := _malformed(run):
        raise UsageError(f"{file} does not say, or not as it should: {', '.join(dict.fromkeys(wrong))}")
    return run


def _malformed(run: Record) -> list[str]:
    """The parts of a record that are not there or not of their kind."""
    wrong = [key for key, kind in _PARTS.items() if not isinstance(run.get(key), kind)]
    wrong += [key for key, kind in _OPTIONAL.items() if key in run and not isinstance(run[key], kind)]
    wrong += ["rows" for rows in within(run, "rows").values() if not isinstance(rows, dict)]
    for named in ({"space": run.get("space")}, within(run, "datasets"), within(run, "proxies")):
        wrong += [key for key in named if not isinstance(within(named, key).get("name"), str)]
    proxies = within(run, "proxies")
    return wrong + [key for key in proxies if not isinstance(within(proxies, key).get("version"), int)]


def within(record: Record, key: str) -> dict[str, Any]:
    """A part of a record that has names in it; empty if there is none, or something else."""
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def sessions(run: Record) -> Iterator[Record]:
    """What a record says of the machinery of each session, the last one first."""
    yield run
    yield from (session for session in run.get("earlier") or () if isinstance(session, dict))


def fingerprint(run: Record) -> str:
    """Eight hexadecimal digits of what decides the scores; a folder that was given no name ends with them."""
    identity = {key: run[key] for key in ("space", "seed", "datasets", "proxies")}
    later = "".join(str(run.get(key, default)).removeprefix(default) for key, default in LATER.items())
    later += str(run.get("division", ""))  # the images of trainings
    if course := {key: value for key, value in within(run, "search").items() if key not in BUDGET}:
        later += json.dumps(course, sort_keys=True)
    return hashlib.sha256((json.dumps(identity, sort_keys=True) + later).encode()).hexdigest()[:8]


class DamagedRecord(UsageError):
    """A `run.json` that cannot be read, or is missing where there are scores."""


def known_record(folder: Path) -> dict[str, Any]:
    """What a folder's record says of what it holds, for a run that adds to it; empty if it holds nothing.

    Raises:
        DamagedRecord: if there is no telling.
    """
    file = folder / "run.json"
    try:
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any((folder / "scores").glob("*/*/*/part-*.parquet")):
            raise DamagedRecord(f"{folder} holds scores, but no run.json says of what") from None
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedRecord(f"{file} is damaged ({first_line(error)})") from error
    if not is_record(known):
        raise DamagedRecord(f"{file} is no record of a run")
    return known


def is_record(known: Any) -> bool:
    """Whether what stands in a run.json has the parts that are read here, each of its kind."""
    if not isinstance(known, dict):
        return False
    named, before = [known.get(key, {}) for key in ("datasets", "proxies")], known.get("earlier", [])
    if not (all(isinstance(part, dict) for part in named) and isinstance(before, list)):
        return False
    return all(isinstance(item, dict) for item in (*before, *(i for part in named for i in part.values())))


def earlier(known: Mapping[str, Any], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The machinery of earlier sessions, where it was not that of this one."""
    before = {key: known[key] for key in MACHINERY if key in known}
    now = {key: record[key] for key in MACHINERY if key in record}
    so_far: list[dict[str, Any]] = known.get("earlier", [])
    return so_far if before in ({}, now) or before in so_far else [*so_far, before]


def joined(folder: Path, known: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity with the folder's own data sets and proxies added; refuses a contradiction."""
    both = dict(identity)
    if known:
        known = {**LATER, **known}
    for key, value in identity.items():
        if key not in known:
            continue
        if key in ("datasets", "proxies"):
            for name in sorted(value.keys() & known[key].keys()):
                old = known[key][name] if key == "datasets" else completed(known[key][name], value[name])
                _agree(folder, name, old, value[name])
            both[key] = {**known[key], **value}
        else:
            _agree(folder, key, known[key], value)
    return both


def changed_code(known: Record, record: Record) -> list[str]:
    """The proxies of a command that a folder has rows of from other code of the same version.

    `shared` stands for the code that all proxies share.  A session without digests is not compared.
    """
    now, before = within(record, "sources"), dict[str, Any]()
    for session in sessions(known):  # the latest that knew the code of a proxy
        before = {**within(session, "sources"), **before}
    held = {options.get("name") for options in within(known, "proxies").values()}
    names = [name for name in now if name in held]
    if names and "shared" in now:
        names.append("shared")
    return sorted(name for name in names if before.get(name, now[name]) != now[name])


def mixed_texts(mixed: Any) -> str:
    """What `mixed` of a record names, in words."""
    names = [str(name) for name in mixed] if isinstance(mixed, list) else []
    return ", ".join("all proxies (the code that they share)" if n == "shared" else n for n in names)


def completed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a proxy as recorded, those of `new` that it lacks at their defaults.

    At its default a new option leaves scores as they were, or else the proxy's version is another.  So an
    option that `new` leaves out at its default is left out here as well.
    """
    missing, more = new.keys() - old.keys(), old.keys() - new.keys()
    if not (missing or more) or old.get("name") != new.get("name"):
        return dict(old)
    try:
        defaults = json.loads(json.dumps(asdict(registry.find("proxies", str(new["name"]))())))
    except (UsageError, TypeError):  # another package's proxy, absent or with options that have no default
        return dict(old)
    kept = {key: value for key, value in old.items() if key not in more or defaults.get(key, ...) != value}
    return {**kept, **{option: defaults[option] for option in missing if option in defaults}}


def _agree(folder: Path, what: str, old: Any, new: Any) -> None:
    if old == new:
        return
    old, new = (value if isinstance(value, dict) else {what: value} for value in (old, new))
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    old, new = (", ".join(f"{k}={d.get(k)}" for k in changed) for d in (old, new))
    raise UsageError(
        f"{folder} holds scores of another configuration: {what} was made with {old}, now {new}; "
        "choose another folder with run=NAME, or delete this one"
    )
