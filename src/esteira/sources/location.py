"""Where a declared source is: as its declaration says, or as the operator set it."""

from esteira.errors import InputError
from esteira.settings import settings


def location_of(source: str, declared: str | None) -> str:
    """The folder or SQLAlchemy URL of ``source``; what the operator set comes first. It may hold a password.

    Raises InputError when neither the declaration nor the operator says.
    """
    known = settings().source_locations
    if source in known:
        return known[source].get_secret_value()
    if declared is None:
        raise InputError(
            f"Nothing says where source {source!r} is. Set ESTEIRA_SOURCE_LOCATIONS to JSON such as "
            f'{{"{source}": "…"}}, a folder or a SQLAlchemy URL. Known: {", ".join(known) or "none"}.'
        )
    return declared
