"""What the parameters of boosted trees are called in the models of flights, and what XGBoost calls them."""

from typing import Any, TypedDict


class Trees(TypedDict):
    """How trees are grown, and on what: the run's seed, threads and device, and what may be tuned."""

    seed: int
    threads: int
    device: str
    trees: int
    depth: int
    learning_rate: float
    row_share: float
    column_share: float
    smallest_leaf: float
    bins: int


def in_xgboost(named: Trees) -> dict[str, Any]:
    """The keyword arguments of an XGBoost estimator that grows such trees from histograms."""
    return {
        "tree_method": "hist",
        "n_estimators": named["trees"],
        "max_depth": named["depth"],
        "learning_rate": named["learning_rate"],
        "subsample": named["row_share"],
        "colsample_bytree": named["column_share"],
        "min_child_weight": named["smallest_leaf"],
        "max_bin": named["bins"],
        "n_jobs": named["threads"],
        "device": named["device"],
        "random_state": named["seed"],
    }
