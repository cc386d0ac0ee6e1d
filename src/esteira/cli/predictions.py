"""``esteira predictions``: ask about what was predicted."""

from typing import Annotated

import typer
from rich.console import Console

from esteira.errors import InputError
from esteira.settings import settings

app = typer.Typer(help="What was predicted: the prediction log as a table.", no_args_is_help=True)
console = Console()


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help='E.g. "select day, count(*) from predictions group by day"')],
    use_case: Annotated[str | None, typer.Option(help="Whose predictions; needed when there are several.")] = None,
    purpose: Annotated[
        str | None, typer.Option(help="What inputs and features are needed for: kept in the audit log.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a row.")] = False,
) -> None:
    """Answer a SELECT over the table predictions, as far as services have logged until now."""
    import polars as pl

    from esteira import use_cases
    from esteira.stores.answers import predictions, queries

    known = use_cases.names()
    if use_case is None and len(known) > 1:
        raise InputError(f"Say whose predictions are asked about: --use-case {' or '.join(known)}.")
    declared = use_cases.get(use_case or known[0])
    predictions.collect(declared.name)
    found = queries.query(declared, sql, purpose=purpose, actor=settings().actor)
    if json:
        console.print(found.write_ndjson(), end="", markup=False, highlight=False, soft_wrap=True)
        return
    with pl.Config(tbl_rows=100, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        console.print(str(found), markup=False, highlight=False, soft_wrap=True)
