"""Turn untransformed feature columns into the matrix a model learns from: the first step of every pipeline.

One code path serves whole frames and single requests, so what training saw is bit for bit what serving sees.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from esteira.errors import DataError, WrongColumns

Matrix = npt.NDArray[np.float32]
Values = Sequence[Any] | npt.NDArray[Any]

_MISSING = type(None)
_NUMBERS = {float, int, bool, np.float64, np.float32, np.int64, np.int32, np.bool_, _MISSING}
_WORDS = {str, np.str_, _MISSING}
_SHOWN = 5


class ColumnEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Numbers stay numbers, words become the rank of the word in the sorted vocabulary seen by ``fit``.

    A missing value, and a word ``fit`` never saw, become NaN. Everything leaves as float32, one column in, one out.
    Which columns hold words is read off the fitted frame: text, category and object columns without numbers do.

    >>> frame = pd.DataFrame({"origin": ["JFK", "EWR", None], "distance": [1400, 200, None]})
    >>> ColumnEncoder().fit(frame).encode_columns({"origin": ["JFK", "XXX"], "distance": [95.5, None]})
    array([[ 1. , 95.5],
           [ nan,  nan]], dtype=float32)
    """

    columns_: list[str]
    codes_: dict[str, dict[str, float]]

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Learn the columns, in order, and the vocabulary of each column of words; ``y`` is not looked at."""
        if not isinstance(X, pd.DataFrame) or X.columns.has_duplicates or not len(X.columns):
            raise WrongColumns(
                f"{type(self).__name__} learns from a pandas DataFrame with uniquely named columns, but was given "
                f"{_described(X)}. Pass the feature columns by name."
            )
        self.columns_ = [str(name) for name in X.columns]
        self.codes_ = {}
        for name in self.columns_:
            values = _values(X[name])
            if isinstance(values, list) and not _holds_numbers(values):
                words = sorted({str(word) for word in _words(name, values) if word is not None})
                self.codes_[name] = {word: float(rank) for rank, word in enumerate(words)}
        return self

    def transform(self, X: pd.DataFrame) -> Matrix:  # noqa: N803
        """Encode a DataFrame of n rows to (n, columns). Raises as ``encode_columns`` does."""
        if not isinstance(X, pd.DataFrame):
            raise WrongColumns(f"{type(self).__name__} encodes a pandas DataFrame, but was given {_described(X)}.")
        return self.encode_columns({str(name): _values(X[name]) for name in X.columns})

    def encode_columns(self, values: Mapping[str, Values]) -> Matrix:
        """Encode n values per column, without pandas, to (n, columns); missing is None or NaN.

        Raises:
            WrongColumns: a column is absent or unknown, or holds values of another type.
            DataError: a value is infinite, or too large for a 32-bit float.
        """
        return self._ranks(values)

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """The names of the matrix's columns, in order."""
        self._require_fitted()
        return np.array(self.columns_, dtype=object)

    @property
    def sources(self) -> list[str]:
        """Of each of the matrix's columns, the column that goes into it."""
        return list(self.columns_)

    @property
    def n_features_in_(self) -> int:
        """How many columns go in."""
        return len(self.columns_)

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """The columns that go in, in order."""
        return np.array(self.columns_, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "columns_")

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(f"This {type(self).__name__} has not seen a training set yet. Call fit first.")

    def _ranks(self, values: Mapping[str, Values]) -> Matrix:
        self._require_fitted()
        if values.keys() != set(self.columns_):
            raise _wrong_names(values.keys(), self.columns_)
        rows = len(values[self.columns_[0]])
        wide = self._wide_row(values) if rows == 1 else self._wide(values, rows)
        with np.errstate(over="ignore"):  # what overflows is infinite, and refused just below
            narrow = wide.astype(np.float32)
        if np.isinf(narrow).any():
            name = self.columns_[int(np.isinf(narrow).any(axis=0).argmax())]
            worst = wide[np.isinf(narrow[:, self.columns_.index(name)]), self.columns_.index(name)][0]
            raise DataError(
                f"Column {name!r} holds {worst}, which no model was trained on. Expected a finite number of "
                "magnitude below 3.4e38, or None where the value is missing."
            )
        return narrow

    def _wide(self, values: Mapping[str, Values], rows: int) -> npt.NDArray[np.float64]:
        wide = np.empty((rows, len(self.columns_)), dtype=np.float64)
        for place, name in enumerate(self.columns_):
            column = values[name]
            if len(column) != rows:
                raise WrongColumns(
                    f"Column {name!r} has {len(column)} values, but {self.columns_[0]!r} has {rows}. "
                    "Pass the same number of values for every column."
                )
            codes = self.codes_.get(name)
            if codes is None:
                wide[:, place] = _numbers(name, column)
            else:
                wide[:, place] = [codes.get(word, np.nan) for word in _words(name, column)]
        return wide

    def _wide_row(self, values: Mapping[str, Values]) -> npt.NDArray[np.float64]:
        """As ``_wide`` for one row, which is most requests: an array a column would cost more than the trees."""
        row: list[float | None] = []
        for name in self.columns_:
            column = values[name]
            codes = self.codes_.get(name)
            if len(column) != 1 or type(column[0]) not in (_NUMBERS if codes is None else _WORDS):
                return self._wide(values, 1)  # which finds what is wrong, or an exotic number
            row.append(column[0] if codes is None else codes.get(column[0], np.nan))
        return np.array([row], dtype=np.float64)  # None becomes NaN


class DenseEncoder(ColumnEncoder):
    """As ColumnEncoder, made dense for linear models: numbers scaled, words one column each, nothing missing.

    A number is centred and scaled by the fitted frame's mean and standard deviation; a missing one becomes the mean
    (0) and, where ``fit`` met missing values, sets an indicator column. A word ``fit`` never saw sets no column.

    >>> frame = pd.DataFrame({"origin": ["JFK", "EWR"], "distance": [100.0, 300.0]})
    >>> DenseEncoder().fit(frame).encode_columns({"origin": ["JFK"], "distance": [300.0]})
    array([[0., 1., 1.]], dtype=float32)
    """

    means_: npt.NDArray[np.float32]
    scales_: npt.NDArray[np.float32]
    indicated_: list[int]

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: N803
        """Learn columns and vocabularies, and each number's mean, spread and whether it is ever missing."""
        super().fit(X, y)
        numbers = self._ranks({name: _values(X[name]) for name in self.columns_})[:, self._places].astype(np.float64)
        present = ~np.isnan(numbers)
        counts = np.maximum(present.sum(axis=0), 1)
        means = np.where(present, numbers, 0.0).sum(axis=0) / counts
        spread = np.sqrt(np.where(present, (numbers - means) ** 2, 0.0).sum(axis=0) / counts)
        self.means_ = means.astype(np.float32)
        # A constant column (up to rounding) tells nothing; scaling by 1 keeps it from blowing up.
        self.scales_ = np.where(spread > 1e-6 * np.maximum(np.abs(means), 1.0), spread, 1.0).astype(np.float32)
        self.indicated_ = [int(place) for place in np.flatnonzero(~present.all(axis=0))]
        return self

    def encode_columns(self, values: Mapping[str, Values]) -> Matrix:
        """Encode n values per column, without pandas, to (n, ``len(get_feature_names_out())``)."""
        ranks = self._ranks(values)
        numbers = ranks[:, self._places]
        absent = np.isnan(numbers)
        scaled = np.where(absent, np.float32(0), (numbers - self.means_) / self.scales_)
        words = [
            (ranks[:, [self.columns_.index(name)]] == np.arange(len(codes), dtype=np.float32)).astype(np.float32)
            for name, codes in self.codes_.items()
        ]
        return np.concatenate([*words, scaled, absent[:, self.indicated_].astype(np.float32)], axis=1)

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """The names of the matrix's columns: ``column=word``, then numbers, then ``column is missing``."""
        self._require_fitted()
        numbers = [self.columns_[place] for place in self._places]
        words = [f"{name}={word}" for name, codes in self.codes_.items() for word in codes]
        indicators = [f"{numbers[place]} is missing" for place in self.indicated_]
        return np.array([*words, *numbers, *indicators], dtype=object)

    @property
    def sources(self) -> list[str]:
        """Of each of the matrix's columns, the column that goes into it."""
        numbers = [self.columns_[place] for place in self._places]
        words = [name for name, codes in self.codes_.items() for _ in codes]
        return [*words, *numbers, *(numbers[place] for place in self.indicated_)]

    @property
    def _places(self) -> list[int]:
        return [place for place, name in enumerate(self.columns_) if name not in self.codes_]


def _values(column: "pd.Series[Any]") -> Values:
    """The values of a pandas column: a float array when its type says numbers, else a list with None for missing."""
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype) or column.dtype == object:
        values = column.to_numpy(dtype=object, copy=True)
        values[column.isna().to_numpy()] = None
        return list(values)
    raise WrongColumns(
        f"Column {column.name!r} has the type {column.dtype}, which no model learns from. "
        "Expected numbers or text: turn it into one of them in the feature computation."
    )


def _holds_numbers(values: list[Any]) -> bool:
    kinds = set(map(type, values))
    return kinds != {_MISSING} and kinds <= _NUMBERS


def _numbers(name: str, values: Values) -> npt.NDArray[np.float64]:
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return values.astype(np.float64)
    kinds = set(map(type, values))
    if not kinds <= _NUMBERS:
        raise _wrong_type(name, values, kinds - _NUMBERS, "numbers")
    return np.array(values, dtype=np.float64)  # None becomes NaN


def _words(name: str, values: Values) -> Values:
    kinds = set(map(type, values)) - _WORDS
    if kinds and any(type(value) in kinds and value == value for value in values):  # NaN, alone, differs from itself  # noqa: PLR0124
        raise _wrong_type(name, values, kinds, "text")
    return values


def _wrong_type(name: str, values: Iterable[Any], kinds: set[type], expected: str) -> WrongColumns:
    offending = next(value for value in values if type(value) in kinds)
    return WrongColumns(
        f"Column {name!r} holds {offending!r} ({type(offending).__name__}), but the model expects {expected} or None "
        "there. Send the type that the feature is declared with."
    )


def _wrong_names(given: Iterable[str], expected: Sequence[str]) -> WrongColumns:
    absent = sorted(set(expected) - set(given))
    unknown = sorted(set(given) - set(expected))
    parts = [
        f"{word} {', '.join(names[:_SHOWN])}" + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
        for word, names in (("missing:", absent), ("not expected:", unknown))
        if names
    ]
    return WrongColumns(
        f"The columns differ from those the model was fitted on ({len(expected)} columns): {'; '.join(parts)}. "
        "Pass exactly the columns named in the model card."
    )


def _described(given: object) -> str:
    if isinstance(given, pd.DataFrame):
        return f"a DataFrame with the columns {list(given.columns)}"
    return f"a {type(given).__name__}"
