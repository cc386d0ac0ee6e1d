"""Which columns are restricted, and their values masked for people.

A column is restricted when an entity or a field of that name bears the tag ``sensitivity`` in feature_repo; it is then
restricted wherever a column of that name stands: raw tables, training sets, the prediction log.
"""

import json

import polars as pl

from esteira.settings import settings
from esteira.stewardship import masking
from esteira.stores.feature_store import repository
from esteira.stores.stewardship.mask_key import mask_key
from esteira.stores.whole_files import write_whole


def restricted_columns() -> dict[str, str]:
    """Column -> ``pii`` or ``restricted``.

    What the feature repository says is kept in the home with the repository's digest, because asking Feast takes
    seconds, and whoever traces one prediction shall not wait for it.
    """
    known, digest = settings().feast_path / "restricted.json", repository.digest()
    if known.is_file() and (kept := json.loads(known.read_text()))["digest"] == digest:
        return dict(kept["columns"])
    from esteira.stores.feature_store import features  # noqa: PLC0415 - brings Feast

    columns = features.sensitive_columns()
    known.parent.mkdir(parents=True, exist_ok=True)
    write_whole(known, json.dumps({"digest": digest, "columns": columns}).encode())
    return columns


def mask(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with every restricted value masked, for all that is not a store: profiles, cards, screens, logs."""
    return masking.mask_frame(frame, restricted_columns(), mask_key())
