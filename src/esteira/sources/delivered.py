"""Whether what was delivered has the declared columns: a column renamed, gone or new is never taken silently."""

from collections.abc import Collection, Sequence

from esteira.errors import WrongColumns


def require_names(where: str, found: Sequence[str], declared: Collection[str], ignored: Collection[str]) -> None:
    """Raise WrongColumns, naming the difference, unless ``found`` are the ``declared`` columns and ``ignored`` ones."""
    twice = sorted({name for name in found if list(found).count(name) > 1})
    gone = [name for name in declared if name not in found]
    new = [name for name in found if name not in declared and name not in ignored]
    if twice or gone or new:
        told = [f"{what} {names}" for what, names in (("twice", twice), ("gone", gone), ("new", new)) if names]
        raise WrongColumns(
            f"The columns of {where} are not the declared ones: {'; '.join(told)}. Expected {list(declared)}. Have it "
            "delivered as declared; or change the declaration, and read and accept the changed schema."
        )
