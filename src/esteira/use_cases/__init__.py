"""The registry of use cases: one line each; a use case is imported when it is asked for."""

from importlib import import_module

from esteira.contract import UseCase
from esteira.errors import UnknownName

_MODULES = {
    "flight_delay": "esteira.use_cases.flight_delay",
    "flight_duration": "esteira.use_cases.flight_duration",
}


def names() -> tuple[str, ...]:
    """Every use case that can be asked for."""
    return tuple(_MODULES)


def get(name: str) -> UseCase:
    """The declaration of the use case ``name``.

    >>> get("flight_dely")
    Traceback (most recent call last):
    esteira.errors.UnknownName: Unknown use case 'flight_dely'. Known: flight_delay, \
flight_duration. They are listed in src/esteira/use_cases/__init__.py.
    """
    if name not in _MODULES:
        raise UnknownName.among("use case", name, _MODULES, "They are listed in src/esteira/use_cases/__init__.py.")
    declared: UseCase = import_module(_MODULES[name]).USE_CASE
    return declared
