"""Which columns are restricted, and their values masked for people.

A column is restricted when an entity or a field of that name bears the tag ``sensitivity`` in feature_repo; it is then
restricted wherever a column of that name stands: raw tables, training sets, the prediction log.
"""

import polars as pl

from esteira.stewardship import masking
from esteira.stores.feature_store import features
from esteira.stores.stewardship.mask_key import mask_key


def restricted_columns() -> dict[str, str]:
    """Column -> ``pii`` or ``restricted``."""
    return features.sensitive_columns()


def mask(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with every restricted value masked, for all that is not a store: profiles, cards, screens, logs."""
    return masking.mask_frame(frame, restricted_columns(), mask_key())
