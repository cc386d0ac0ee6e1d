"""The registry of use cases: one line each; a use case is imported when it is asked for.

A package that is installed beside Esteira registers its own by an entry point of the group ``esteira.use_cases``, whose
name is the use case's and whose value is the module that declares ``USE_CASE``. The folder ``feature_repo`` beside that
module, if there is one, holds its Feast definitions.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from esteira.contract import UseCase
from esteira.errors import InputError, UnknownName

_MODULES = {
    "flight_delay": "esteira.use_cases.flight_delay",
    "flight_duration": "esteira.use_cases.flight_duration",
}
GROUP = "esteira.use_cases"
_WHERE = f"They are listed in src/esteira/use_cases/__init__.py, or registered by packages (entry points {GROUP})."


def names() -> tuple[str, ...]:
    """Every use case that can be asked for."""
    return (*_MODULES, *outside())


def get(name: str) -> UseCase:
    """The declaration of the use case ``name``.

    >>> get("flight_dely")
    Traceback (most recent call last):
    esteira.errors.UnknownName: Unknown use case 'flight_dely'. Known: flight_delay, \
flight_duration. They are listed in src/esteira/use_cases/__init__.py, or registered by packages \
(entry points esteira.use_cases).
    """
    if name not in _MODULES and name not in outside():
        raise UnknownName.among("use case", name, names(), _WHERE)
    module = _MODULES[name] if name in _MODULES else outside()[name].module
    declared: UseCase = import_module(module).USE_CASE
    return declared


@lru_cache(maxsize=1)
def outside() -> Mapping[str, EntryPoint]:
    """The use cases that other installed packages register, by name. Raises InputError for a name that is taken."""
    found: dict[str, EntryPoint] = {}
    for each in sorted(entry_points(group=GROUP)):
        if each.name in found or each.name in _MODULES:
            taken = _MODULES.get(each.name) or found[each.name].value
            raise InputError(
                f"The use case {each.name!r} of {each.value} cannot be registered: {taken} is called so. "
                f"Rename one, or uninstall its package (entry points {GROUP})."
            )
        found[each.name] = each
    return found


def folder(name: str) -> Path:
    """Where the code of a registered use case stands. Raises InputError when its module is not a package's folder."""
    module = _MODULES[name] if name in _MODULES else outside()[name].module
    spec = find_spec(module)
    if spec is None or spec.origin is None or spec.submodule_search_locations is None:
        raise InputError(
            f"The use case {name!r} is registered as {module!r}, which is no package here. Expected a folder with an "
            f"__init__.py that declares USE_CASE. Install its package again, or correct its entry point ({GROUP})."
        )
    return Path(spec.origin).parent


def outside_folders() -> tuple[Path, ...]:
    """The folders of all use cases of other packages, each once."""
    return tuple(dict.fromkeys(folder(name) for name in outside()))
