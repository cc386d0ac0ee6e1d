"""How fast and how lean the point-in-time join is, beside Feast's DuckDB store and a hand-written Polars join.

Run ``python -m benchmarks.features`` (minutes), or with ``--rows 100000`` for a small one. Every contender runs in a
process of its own, on the same files, and must give the same values. Prints a table; writes JSON and a plot into
``$ESTEIRA_HOME/benchmarks``.

Feast's range join grows with the rows of a key, an ASOF join does not, so no single ratio tells the truth: the table
has 100, 500 and 1,000 rows of a key, which is a row every three days up to three a day through a year. More rows are
more keys, as when a business grows.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from esteira.contract import MOMENT
from esteira.settings import settings

VIEWS, FEATURES, TTL = 3, 8, timedelta(days=90)
SHAPES = (100, 500, 1000)
YEAR = 365 * 86_400 * 1_000_000
BEGIN = int(datetime(2013, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
OWN, FEAST, HAND = "esteira", "feast duckdb", "hand-written polars"
ARRIVALS = ("in order", "late and shuffled")


def main(
    rows: Annotated[int, typer.Option(help="Feature rows per view; labels are a fifth.")] = 1_000_000,
    growth: Annotated[int, typer.Option(help="Run once more on this many times the rows, without Feast.")] = 10,
    rows_of_a_key: Annotated[list[int] | None, typer.Option(help="Shapes to measure, instead of all.")] = None,
) -> None:
    """Measure all contenders and say which bars are met."""
    console = Console()
    results: list[dict[str, Any]] = []
    shapes = rows_of_a_key or list(SHAPES)
    for shape in shapes:
        for arrivals in ARRIVALS:
            results += _round(console, arrivals, rows, shape, (OWN, HAND, FEAST))
    grown = _round(console, ARRIVALS[1], rows * growth, shapes[-1], (OWN, HAND)) if growth > 1 else []
    bars = _bars(results, grown, growth)
    _show(console, results + grown, bars)

    folder = settings().home / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    written = {"results": results + grown, "bars": bars}
    (folder / "features.json").write_text(json.dumps(written, indent=2))
    _plot(results, folder / "features.png")
    console.print(f"Written: {folder}/features.json and features.png")


def _round(console: Console, arrivals: str, rows: int, shape: int, contenders: tuple[str, ...]) -> list[dict[str, Any]]:
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), rows, shape, late=arrivals != ARRIVALS[0])
        for contender in contenders:
            with console.status(f"{contender}: {rows:,} rows x {VIEWS} views, {shape} of a key, {arrivals}"):
                command = [sys.executable, "-W", "ignore", "-m", "benchmarks.features", contender, folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures = json.loads(done.stdout.splitlines()[-1])
            measured.append(
                {"contender": contender, "arrivals": arrivals, "rows": rows, "rows_of_a_key": shape, **figures}
            )
            console.print(
                f"{contender:>20}  {arrivals:<18} {rows:>12,} rows, {shape:>5,} of a key {figures['seconds']:8.2f} s"
            )
    if len({each["checksum"] for each in measured}) != 1:
        raise SystemExit(f"The contenders disagree: {[(each['contender'], each['checksum']) for each in measured]}")
    return measured


def write_data(folder: Path, rows: int, rows_of_a_key: int, *, late: bool) -> None:
    """Labels and feature files: a year of events that arrive within the hour, or a tenth of them up to a week late."""
    draw = np.random.default_rng(2013)
    keys = max(1, rows // rows_of_a_key)
    names = [f"f{i}" for i in range(FEATURES)]
    for view in range(VIEWS):
        event = np.sort(draw.integers(0, YEAR, rows)) + BEGIN
        created = event + draw.integers(0, 3_600_000_000, rows)
        if late:
            created += np.where(draw.random(rows) < 0.1, draw.integers(0, 7 * 86_400_000_000, rows), 0)
        else:
            created = np.maximum.accumulate(created)
        frame = pl.DataFrame(
            {"key": draw.integers(0, keys, rows), "event": event, "created": created}
            | {f"v{view}_{name}": draw.random(rows) for name in names}
        ).with_columns(pl.col("event", "created").cast(MOMENT))
        frame = frame.sample(fraction=1.0, shuffle=True, seed=view) if late else frame
        frame.write_parquet(folder / f"view{view}.parquet")
    labels = rows // 5
    pl.DataFrame(
        {"key": draw.integers(0, keys, labels), "event_timestamp": draw.integers(0, YEAR, labels) + BEGIN}
    ).with_columns(pl.col("event_timestamp").cast(MOMENT)).with_row_index("label").write_parquet(
        folder / "labels.parquet"
    )


def run_contender(contender: str, folder: Path) -> None:
    """Be one contender: join the files in ``folder`` and print the figures as the last line."""
    labels = pl.read_parquet(folder / "labels.parquet")
    retrieve = hand_written(folder, labels) if contender == HAND else through_feast(contender, folder, labels)
    seconds, processor = [], []
    for _ in range(1 if contender == FEAST else 3):
        started, worked = time.perf_counter(), time.process_time()
        table = retrieve()
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - worked)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    values = pl.DataFrame(pl.from_arrow(table)).sort("label").select(pl.exclude("label", "key", "event_timestamp"))
    figures = {
        "seconds": statistics.median(seconds),
        "processor_seconds": statistics.median(processor),
        "peak_bytes": peak,
        "rows_out": values.height,
        "checksum": str(values.hash_rows(seed=1).sum()),
    }
    print(json.dumps(figures))


def through_feast(contender: str, folder: Path, labels: pl.DataFrame) -> Callable[[], Any]:
    """The same retrieval through Feast, with one offline store or the other."""
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, Int64

    kind = "esteira.features.offline_store.EsteiraOfflineStore" if contender == OWN else "duckdb"
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / f"{kind}.db"),
        offline_store={"type": kind},
        online_store=None,
        entity_key_serialization_version=3,
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)
    fields = [[f"v{view}_f{i}" for i in range(FEATURES)] for view in range(VIEWS)]
    views = [
        FeatureView(
            name=f"view{view}",
            entities=[entity],
            ttl=TTL,
            schema=[Field(name="key", dtype=Int64), *(Field(name=name, dtype=Float64) for name in names)],
            source=FileSource(
                path=str(folder / f"view{view}.parquet"), timestamp_field="event", created_timestamp_column="created"
            ),
        )
        for view, names in enumerate(fields)
    ]
    store.apply([entity, *views])
    features = [f"view{view}:{name}" for view, names in enumerate(fields) for name in names]
    frame = labels.to_pandas()
    return lambda: store.get_historical_features(frame, features, filter_by_created_timestamp=True).to_arrow()


def hand_written(folder: Path, labels: pl.DataFrame) -> Callable[[], Any]:
    """The same semantics as somebody who knows Polars writes them for exactly these files."""

    def retrieve() -> Any:
        asked = labels.sort("event_timestamp")
        for view in range(VIEWS):
            names = [f"v{view}_f{i}" for i in range(FEATURES)]
            rows = pl.read_parquet(folder / f"view{view}.parquet").sort("event", "created").with_row_index("rank")
            seen = (
                rows.select("key", "rank", visible=pl.max_horizontal("event", "created"))
                .sort("visible", "rank")
                .with_columns(pl.col("rank").cum_max().over("key"))
            )
            found = asked.join_asof(
                seen, left_on="event_timestamp", right_on="visible", by="key", check_sortedness=False
            ).join(rows.select("rank", "event", *names), on="rank", how="left", maintain_order="left")
            fresh = pl.col("event_timestamp") - pl.col("event") <= TTL
            asked = asked.hstack(found.select(pl.when(fresh).then(pl.col(name)).alias(name) for name in names))
        return asked.sort("label").to_arrow()

    return retrieve


def _bars(results: list[dict[str, Any]], grown: list[dict[str, Any]], growth: int) -> list[dict[str, Any]]:
    def spent(among: list[dict[str, Any]], shape: int, contender: str, arrivals: str, kind: str = "seconds") -> float:
        wanted = (shape, contender, arrivals)
        return float(next(r[kind] for r in among if (r["rows_of_a_key"], r["contender"], r["arrivals"]) == wanted))

    bars: list[tuple[str, float, str, float]] = []
    shapes = list(dict.fromkeys(each["rows_of_a_key"] for each in results))
    for shape in shapes:
        for arrivals, faster in zip(ARRIVALS, (50, 25), strict=True):
            own, hand, feast = (spent(results, shape, contender, arrivals) for contender in (OWN, HAND, FEAST))
            of_this = f"{arrivals}, {shape:,} rows of a key"
            bars.append((f"times faster than {FEAST}, {of_this}", feast / own, ">=", faster))
            bars.append((f"times the {HAND} join, {of_this}", own / hand, "<=", 2.0))
    bars.append(("GB peak", max(r["peak_bytes"] for r in results if r["contender"] == OWN) / 1e9, "<=", 1.0))
    for kind in ("seconds", "processor_seconds") if grown else ():
        before, after = (spent(among, shapes[-1], OWN, ARRIVALS[1], kind) for among in (results, grown))
        what = f"times the {kind.replace('_', ' ')} for {growth} times the rows"
        bars.append((what, after / before, "<=", 1.2 * growth))
    return [
        {"bar": what, "measured": value, "wanted": f"{sign} {limit:g}", "met": (value >= limit) == (sign == ">=")}
        for what, value, sign, limit in bars
    ]


def _show(console: Console, results: list[dict[str, Any]], bars: list[dict[str, Any]]) -> None:
    table = Table(
        *("contender", "arrivals", "rows per view", "of a key", "seconds", "processor seconds", "peak GB"),
        title="Point-in-time join; medians",
    )
    for each in results:
        spent = f"{each['seconds']:.2f}", f"{each['processor_seconds']:.2f}", f"{each['peak_bytes'] / 1e9:.2f}"
        shape = f"{each['rows']:,}", f"{each['rows_of_a_key']:,}"
        table.add_row(each["contender"], each["arrivals"], *shape, *spent)
    console.print(table)
    verdicts = Table("bar", "measured", "wanted", "met", title="Bars (stated for 1,000,000 rows)")
    for bar in bars:
        verdicts.add_row(bar["bar"], f"{bar['measured']:.2f}", bar["wanted"], "yes" if bar["met"] else "no")
    console.print(verdicts)


def _plot(results: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    places = list(dict.fromkeys((each["rows_of_a_key"], each["arrivals"]) for each in results))
    figure = Figure(figsize=(3 + 3.5 * len(places), 4.5), layout="constrained")
    for axes, quantity, unit, scale in zip(
        figure.subplots(1, 2), ("seconds", "peak_bytes"), ("seconds", "peak GB"), (1, 1e9), strict=True
    ):
        for position, contender in enumerate((OWN, HAND, FEAST)):
            heights = [each[quantity] / scale for each in results if each["contender"] == contender]
            bars = axes.bar([index + 0.27 * position for index in range(len(heights))], heights, 0.25, label=contender)
            axes.bar_label(bars, fmt="%.3g")
        axes.set_xticks(
            [index + 0.27 for index in range(len(places))], [f"{shape:,} of a key\n{how}" for shape, how in places]
        )
        axes.set_ylabel(unit)
        axes.legend(loc="upper left", fontsize="small")
        if quantity == "seconds":
            axes.set_yscale("log")
        axes.margins(y=0.35)
    rows = results[0]["rows"]
    figure.suptitle(f"{rows // 5:,} labels, {VIEWS} views of {rows:,} rows with {FEATURES} features")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in (OWN, FEAST, HAND):
        run_contender(sys.argv[1], Path(sys.argv[2]))
    else:
        typer.run(main)
