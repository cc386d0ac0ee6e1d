"""Every error Esteira raises, as one family tree.

A message says what could not be done, the offending value, what was expected or exists, and what to do next.

    EsteiraError
    ├── InputError            the caller asked for something that cannot be
    │   ├── UnknownName       a use case, table, feature, release or model that does not exist
    │   ├── MomentOutsideData an ``as_of`` the data does not reach
    │   ├── InvalidRequest    a request to the service that cannot be answered
    │   └── AccessRefused     restricted values were asked for without a stated purpose
    ├── DataError             data is missing or not what was declared
    │   ├── MissingData       a file, a table or rows that are needed and absent
    │   ├── WrongColumns      columns or types differ from the declaration
    │   └── NotEnoughData     too few rows, or one class only, to decide anything
    ├── FeatureError          a feature is unknown, unavailable, or differs between offline and online
    │   └── StoreUnreachable  the online store does not answer, or not in time
    ├── ModelError            a model cannot be saved, loaded or trusted
    │   └── AlteredModel      a model's bytes differ from the recorded digest
    ├── DiskFull              there is no room to write what must be written
    ├── AlteredLog            the audit log is not as it was written
    ├── OverBudget            a run has spent more than it may
    ├── BrokenLaw             a use case does not keep what every use case must
    └── ReleaseError          a release cannot be made, followed or restored
        ├── NoRelease         nothing is live
        └── LedgerMoved       somebody else released in between
"""

from collections.abc import Iterable


class EsteiraError(Exception):
    """The root: catching it catches everything Esteira raises on purpose."""


class InputError(EsteiraError):
    """The caller asked for something that cannot be."""


class UnknownName(InputError):
    """A name that nothing carries."""

    @classmethod
    def among(cls, kind: str, name: object, known: Iterable[object], hint: str) -> "UnknownName":
        """Build the error for ``name``, listing what exists and where it is listed.

        >>> raise UnknownName.among("use case", "flight_dely", ["flight_delay"], "They are listed in a file.")
        Traceback (most recent call last):
        esteira.errors.UnknownName: Unknown use case 'flight_dely'. Known: flight_delay. They are listed in a file.
        """
        listed = ", ".join(str(each) for each in known) or "none yet"
        return cls(f"Unknown {kind} {name!r}. Known: {listed}. {hint}")


class MomentOutsideData(InputError):
    """An ``as_of`` that the data does not reach."""


class InvalidRequest(InputError):
    """A request to the service that cannot be answered as it stands."""


class AccessRefused(InputError):
    """Restricted values were asked for without a stated purpose."""


class DataError(EsteiraError):
    """Data is missing or not what was declared."""


class MissingData(DataError):
    """A file, a table or rows that are needed and absent."""


class WrongColumns(DataError):
    """Columns or their types differ from the declaration."""


class NotEnoughData(DataError):
    """Too few rows, or one class only, to decide anything."""


class FeatureError(EsteiraError):
    """A feature is unknown, unavailable, or differs between offline and online."""


class StoreUnreachable(FeatureError):
    """The online store does not answer, or not in time."""


class ModelError(EsteiraError):
    """A model cannot be saved, loaded or trusted."""


class AlteredModel(ModelError):
    """A model's bytes differ from the recorded digest."""


class DiskFull(EsteiraError):
    """There is no room to write what must be written."""


class AlteredLog(EsteiraError):
    """The audit log is not as it was written."""


class AlertError(EsteiraError):
    """A sink did not take an alert."""


class OverBudget(EsteiraError):
    """A run has spent more time or memory than it may."""


class BrokenLaw(EsteiraError):
    """A use case does not keep what every use case must."""


class ReleaseError(EsteiraError):
    """A release cannot be made, followed or restored."""


class NoRelease(ReleaseError):
    """Nothing is live for a use case."""


class LedgerMoved(ReleaseError):
    """Another release was appended after the one this release meant to follow."""
