"""``esteira data``: which data there is, in which versions, what they hold, and what was kept apart."""

from json import dumps as json_text
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from esteira import use_cases
from esteira.cli import stewardship
from esteira.contract import utc
from esteira.errors import InputError, UnknownName
from esteira.settings import settings

app = typer.Typer(help="The data: versions, schemas, quarantine, cards, holds, forgetting.", no_args_is_help=True)
schema_app = typer.Typer(help="The reviewed schema of a source: propose, read the difference, accept.")
app.add_typer(schema_app, name="schema", no_args_is_help=True)
stewardship.register(app)
console = Console()

UseCaseName = Annotated[str, typer.Argument(help="A use case, such as flight_delay.")]
TableName = Annotated[str, typer.Argument(help="A table, such as departures. See: esteira data list")]


@app.command("list")
def list_tables() -> None:
    """Every table with its newest version, rows and reach; and the training sets."""
    from esteira.stores.data import tables
    from esteira.stores.model_store import splits, training_sets

    shown = Table(Column("table", no_wrap=True), "version", "rows", "slices until")
    for name in tables.names():
        reached = tables.horizon(name)
        shown.add_row(
            name,
            str(tables.version(name)),
            f"{tables.row_count(name):,}",
            f"{reached:%Y-%m-%d %H:%M}" if reached else "",
        )
    console.print(shown)
    sets = Table("training set", "rows", "train + set aside + holdout", "made of (table: version)")
    for path in training_sets.paths():
        made_of = ", ".join(f"{name}: {version}" for name, version in training_sets.data_versions(path).items())
        parts = splits.recorded(path).parts if training_sets.splits_file(path).is_file() else ()
        counts = " + ".join(f"{each.part.rows:,}" for each in parts)
        sets.add_row(f"{path.parent.name}/{path.name}", f"{training_sets.row_count(path):,}", counts, made_of)
    console.print(sets)


@app.command()
def show(
    table: TableName,
    version: Annotated[int | None, typer.Option(help="An older version; the newest by default.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print profile and report as JSON.")] = False,
) -> None:
    """One version of a table: its slices, how its values are spread, and what the checks found when it came in."""
    from esteira.stores.data import statistics, tables, versions

    asked = tables.version(table) if version is None else version
    profile = versions.profile_at(table, asked)
    slices = {made: until for made, until in tables.slices(table).items() if made <= asked}
    report = statistics.report(table, list(slices.values())[-1]) if slices else None
    if json:
        told = None if report is None else report.model_dump(mode="json", exclude={"profile"})
        columns = {name: versions.figures(column) for name, column in profile.columns.items()}
        console.print_json(data={"table": table, "version": asked, "columns": columns, "newest_slice": told})
        return
    rows = tables.row_count(table, at_version=asked)
    console.print(f"[bold]{table}[/] version {asked}: {rows:,} rows in {len(slices)} slices", highlight=False)
    shown = Table(Column("column", no_wrap=True), "values")
    for name, column in sorted(profile.columns.items()):
        shown.add_row(name, escape(versions.in_words(column)))
    console.print(shown)
    if report is not None:
        console.print(
            f"Newest slice until {report.until:%Y-%m-%d %H:%M} UTC: {report.arrived:,} arrived = "
            f"{report.kept:,} kept + {report.quarantined:,} quarantined; {report.readmitted:,} readmitted.",
            highlight=False,
        )
        for found in report.findings:
            if found.outcome != "pass":
                console.print(f"[yellow]{escape(str(found))}[/]", highlight=False, soft_wrap=True)


@app.command("training-set")
def show_training_set(
    use_case: UseCaseName,
    name: Annotated[
        str | None, typer.Option(help="Its file name, as data list shows it; the newest by default.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the profile of each part as JSON.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the parts side by side as one page to this file.")] = None,
) -> None:
    """How a training set was split: rows and entities of each part, and how far the holdout lies from the rest."""
    from esteira.stores.data import versions
    from esteira.stores.model_store import splits, training_sets
    from esteira.stores.whole_files import write_whole
    from esteira.training.split import HOLDOUT, TRAIN

    declared = use_cases.get(use_case).name
    path = training_sets.find(declared, name) if name else training_sets.newest(declared)
    found = splits.recorded(path)
    if html is not None:
        console.print(f"Written to {write_whole(html, splits.to_html(found).encode())}.", soft_wrap=True)
        return
    if json:
        console.print_json(data={"training_set": found.training_set, "parts": splits.as_figures(found)})
        return
    console.print(f"[bold]{found.training_set}[/]", highlight=False, soft_wrap=True)
    for each in found.parts:
        console.print(str(each.part), markup=False, highlight=False, soft_wrap=True)
    shown = Table(Column("column", no_wrap=True), "distance of holdout from train", "train", "holdout")
    train, holdout = found[TRAIN].spread, found[HOLDOUT].spread
    for column, distance in splits.distances(found).items():
        cells = (versions.in_words(part.column(column)) for part in (train, holdout))
        shown.add_row(column, f"{distance:.3f}", *map(escape, cells))
    console.print(shown)


@app.command()
def diff(table: TableName, before: int, after: int) -> None:
    """How two versions of a table differ: columns, rows, and how values are spread."""
    from esteira.stores.data import versions

    found = versions.compare(table, before, after)
    old, new = found.rows
    console.print(f"[bold]{table}[/] {before} to {after}: {old:,} to {new:,} rows ({new - old:+,})", highlight=False)
    for sentence in found.columns or ("Columns and types are the same.",):
        console.print(escape(sentence), highlight=False, soft_wrap=True)
    shown = Table(Column("column", no_wrap=True), "distance", f"version {before}", f"version {after}")
    for each in found.changes:
        shown.add_row(each.column, f"{each.distance:.3f}", escape(each.before), escape(each.after))
    console.print(shown)


@app.command()
def quarantine(
    table: TableName, newest: Annotated[int, typer.Option(help="How many rows to list.", min=1)] = 20
) -> None:
    """What of a table was kept apart, why, from where, and what was released since."""
    from esteira.stores.data import quarantine as store

    held = store.read(table)
    released = held["released_at"].is_not_null().sum()
    console.print(f"{held.height:,} rows of {table} were kept apart, {released:,} of them released.", highlight=False)
    for each in held.tail(newest).iter_rows(named=True):
        mark = f" [green]released {each['released_at']:%Y-%m-%d %H:%M}[/]" if each["released_at"] else ""
        place = f"{escape(each['source_position'])}, until {each['slice_until']:%Y-%m-%d %H:%M}"
        console.print(
            f"{each['quarantine_id']}{mark}  {place}: {escape(each['reason'])}",
            highlight=False,
            soft_wrap=True,
        )


@app.command("release-quarantine")
def release_quarantine(
    use_case: UseCaseName,
    table: TableName,
    reason: Annotated[str, typer.Option(help="Why the rows are right; kept with them and in the audit log.")],
    row: Annotated[list[str] | None, typer.Option(help="The quarantine id of a row; may be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every row that was not released yet.")] = False,
) -> None:
    """Let rows back in with the next ingest, as knowledge of the moment of release."""
    from esteira.stores import clock
    from esteira.stores.data import quarantine as store

    declared = use_cases.get(use_case)
    if table not in (known := [each.name for each in declared.source.tables]):
        raise UnknownName.among("raw table", table, known, f"They are declared by the source of {use_case}.")
    if everything == bool(row):
        raise InputError("Say which rows: --row ID, once or more often, or --all.")
    held = store.read(table)
    ids = row or held.filter(held["released_at"].is_null())["quarantine_id"].to_list()
    moment = store.release(table, ids, actor=settings().actor, reason=reason, now=clock.now(declared))
    console.print(f"{len(ids)} rows of {table} come in with the next ingest, as known from {moment.isoformat()}.")


@app.command()
def synthesize(
    use_case: UseCaseName,
    into: Annotated[Path, typer.Option(help="A new folder for the invented files.")],
    days: Annotated[int, typer.Option(help="How many days; training takes about seventy.", min=1)] = 75,
    seed: Annotated[int, typer.Option(help="The same seed makes the same files.")] = 1,
) -> None:
    """Invent data true to the reviewed schema, for who may not have the real; production refuses it."""
    from esteira.stores.data import synthetic

    source = use_cases.get(use_case).source
    folder = synthetic.write(source, into.expanduser().resolve(), seed=seed, days=days)
    setting = json_text({source.name: str(folder)})
    console.print(f"Invented files are in {folder}. Run everything on them in a home of its own:", soft_wrap=True)
    console.print(
        f"export ESTEIRA_HOME=~/.esteira-synthetic ESTEIRA_SOURCE_LOCATIONS='{setting}'",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@schema_app.command("propose")
def propose_schema(
    use_case: UseCaseName,
    as_of: Annotated[str | None, typer.Option(help="From all that arrived by then; by default, was ingested.")] = None,
) -> None:
    """Propose the schema of the use case's source from its data; an accepted one is widened where data breaks it."""
    from esteira.stores import clock
    from esteira.stores.data import schemas

    declared = use_cases.get(use_case)
    schemas.propose(declared.source, clock.horizon(declared) if as_of is None else utc(as_of))
    show_schema_difference(use_case)


@schema_app.command("diff")
def show_schema_difference(use_case: UseCaseName) -> None:
    """What accepting the proposed schema would change."""
    from esteira.data.schema import SourceSchema, describe_difference
    from esteira.stores.data import schemas

    source = use_cases.get(use_case).source
    accepted = schemas.accepted(source) or SourceSchema(source=source.name, tables={})
    differences = describe_difference(accepted, schemas.proposed(source))
    for sentence in differences or ["The proposed schema is the accepted one."]:
        console.print(escape(sentence), highlight=False, soft_wrap=True)


@schema_app.command("accept")
def accept_schema(
    use_case: UseCaseName, reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")]
) -> None:
    """Make the proposed schema the one data is checked against; commit the file it names."""
    from esteira.stores.data import schemas

    source = use_cases.get(use_case).source
    schemas.accept(source, actor=settings().actor, reason=reason)
    console.print(f"Accepted into {source.schema_file}. Read it, change it where you know better, and commit it.")
