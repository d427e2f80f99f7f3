"""Search algorithms: one module each, found by the registry; the paper and its equations stand first."""
