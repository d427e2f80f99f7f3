"""What the columns of the written tables mean."""

from __future__ import annotations

MEANINGS = {
    "benchmark": "search space and data set",
    "method": "how it is chosen: `single`, the best proxy; `rank_sum` and `log_rank_sum`; `joint_` and one "
    "of these, by mean τ over all data sets of the run; or the name of a fixed combination",
    "combination": "what is chosen on all architectures",
    "passes": "different passes that it takes",
    "seconds": "median seconds that its members took for an architecture in the run, each label once",
    "n": "architectures",
    "candidates": "proxies, and columns, to choose from",
    "tau_chosen": "Kendall τ where it was chosen, which is too high",
    "tau": "mean Kendall τ on held-out architectures, over the folds of all repeats",
    "sd": "its standard deviation over folds",
    "low": "lower end of its 95 % interval",
    "high": "upper end",
}
DIFFERENCE_MEANINGS = {
    "benchmark": "search space and data set",
    "method": "a method",
    "reference": "a fixed combination",
    "difference": "mean over folds of the method's τ less the reference's, on the same held-out ones",
    "sd": "its standard deviation over folds",
    "low": "lower end of its 95 % interval",
    "high": "upper end",
}
FOLD_MEANINGS = {
    "benchmark": "search space and data set",
    "method": "a method",
    "combination": "what it chose, members in alphabetical order",
    "times": "in how many folds",
    "folds": "of how many",
}
TRANSFER_MEANINGS = {
    "chosen_on": "the benchmark that it was chosen on, with all its architectures; empty if fixed",
    "method": "how",
    "combination": "what was chosen",
    "benchmark": "the one that it is judged on",
    "n": "architectures",
    "shared": "of these, those that the choice was made on too; 0 if fixed",
    "tau": "Kendall τ on all of them; empty where a member was not scored",
    "low": "lower end of its 95 % bootstrap interval",
    "high": "upper end",
    "reference": "a fixed combination",
    "difference": "τ less that of the reference",
    "difference_low": "lower end of its 95 % bootstrap interval",
    "difference_high": "upper end",
}
