"""Public tables of ground truth: a module and a YAML file each, found by their names (see `truth.base`)."""
