"""A retrieval that has been asked for and is computed when its result is taken."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from esteira.features import file_sources
from esteira.features.declared_types import cast_table


class EsteiraRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """Rows computed on demand; ``to_arrow`` is the cheapest way out, ``polars.from_arrow`` takes it without a copy."""

    def __init__(
        self,
        compute: Callable[[], pl.DataFrame],
        *,
        repo_path: Path | None,
        types: Mapping[str, pa.DataType] | None = None,
        index: pd.Index | None = None,
        full_feature_names: bool = False,
        on_demand_feature_views: Sequence[Any] = (),
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        super().__init__()
        self._compute = compute
        self._repo_path = repo_path
        self._types = types or {}
        self._index = index
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata = metadata

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """The rows as a pandas frame, with the index of the entity frame that was passed in."""
        frame: pd.DataFrame = super().to_df(validation_reference=validation_reference, timeout=timeout)
        if self._index is not None:
            frame.index = self._index
        return frame

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        # Feast's materialisation looks at a table's first chunk only.
        return cast_table(self._compute().rechunk().to_arrow(), self._types)

    @property
    def full_feature_names(self) -> bool:
        """Whether feature columns carry their view's name."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[Any]:
        """The on-demand views computed on top of the rows."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Features, keys and time range of a historical retrieval; None for plain reads."""
        return self._metadata

    def persist(self, storage: Any, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the rows, on-demand features included, to a saved dataset's storage.

        Raises SavedDatasetLocationAlreadyExists when there is one and it may not be overwritten.
        """
        source = file_sources.require_file_source(storage.to_data_source())
        if not allow_overwrite:
            file_sources.require_absent(source, self._repo_path)
        rows = pl.DataFrame(pl.from_arrow(self.to_arrow(timeout=timeout)))
        file_sources.write(source, self._repo_path, rows)
