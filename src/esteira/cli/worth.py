"""``esteira features worth``: what each group of features adds to the model, and what it costs to keep."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from esteira import use_cases
from esteira.contract import utc
from esteira.errors import InputError, UnknownName

console = Console()


def worth(
    use_case: Annotated[str, typer.Argument(help="A use case, such as flight_delay.")],
    as_of: Annotated[str, typer.Option(help="Learn from what was known at this moment, e.g. 2013-04-01.")],
    group: Annotated[
        list[str] | None, typer.Option(help="A group as name=feature,feature; again for more. Default: each view.")
    ] = None,
    candidate: Annotated[str | None, typer.Option(help="The model to ask, by default the last one declared.")] = None,
) -> None:
    """Leave each group of features out, fit again, and compare on the newest training rows, day by day.

    The holdout stays closed: what is learned here may choose features, and the gate judges the choice.
    """
    from esteira.settings import settings
    from esteira.stores.data import tables
    from esteira.stores.feature_store import features
    from esteira.stores.model_store import training_sets
    from esteira.training.fit import rows_to_learn_from
    from esteira.training.learn import Where
    from esteira.training.recipe import declared
    from esteira.training.select import folds
    from esteira.training.worth import groups_by_view, measure_worth
    from flows.steps.training import build_training_set

    chosen, moment, current = use_cases.get(use_case), utc(as_of), settings()
    groups = dict(_named(each) for each in group or ())
    entrants = {each.name: each for each in declared(chosen.candidates)}
    name = candidate or chosen.candidates[-1].name
    if name not in entrants:
        raise UnknownName.among("candidate", name, entrants, f"{use_case} declares them in its model.py.")
    with console.status(f"[cyan]worth of the features of {use_case} as of {moment:%Y-%m-%d %H:%M} UTC …"):
        rows = training_sets.load(build_training_set.fn(use_case, moment))
        columns = features.service_columns(chosen.feature_service)
        (fold,) = folds(chosen, rows_to_learn_from(chosen, rows, as_of=moment), 1)
        found = measure_worth(
            chosen, entrants[name], fold.learned, fold.newest, columns, groups or groups_by_view(columns),
            Where(seed=current.seed, threads=current.threads, device=current.device),
        )  # fmt: skip
        views = {column.name: column.view for column in columns if tables.exists(column.view)}
        kept = {
            each.group: sum(
                tables.read(views[feature], columns=[feature]).estimated_size()
                for feature in each.features
                if feature in views
            )
            for each in found
        }
        read = {view: _lookup_ms(view, moment) for view in set(views.values())}
        looked_up = {
            each.group: sum(read[view] for view in {views[name] for name in each.features if name in views})
            for each in found
        }
    table = Table(
        "group",
        "features",
        f"{found[0].metric} without it",
        "95 %",
        "AUC gain",
        "MB in tables",
        "ms to look up",
        "s to fit",
    )
    for each in found:
        figure = each.added_loss
        colour = "green" if figure.low > 0 else "red" if figure.high < 0 else "yellow"
        table.add_row(
            each.group, str(len(each.features)), f"[{colour}]{figure.value:+.5f}[/]",
            f"{figure.low:+.5f} … {figure.high:+.5f}", "" if each.auc_gain is None else f"{each.auc_gain:+.4f}",
            f"{kept[each.group] / 1e6:.1f}" if kept[each.group] else "computed when asked",
            f"{looked_up[each.group]:.2f}", f"{each.fit_seconds:+.1f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        f"{name} learned from {fold.learned.height:,} rows and was compared on {fold.newest.height:,} of "
        f"{fold.since:%Y-%m-%d} to {fold.until:%Y-%m-%d}.",
        *(each.sentence for each in found),
        sep="\n",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )


def _lookup_ms(view: str, as_of: datetime) -> float:
    """What reading one entity of ``view`` from the online store takes."""
    from esteira.contract import EVENT
    from esteira.stores.data import tables
    from esteira.stores.feature_store import features
    from esteira.stores.feature_store.online_features import lookup_ms

    store = features.open_store()
    keys = list(store.get_feature_view(view).join_keys)
    newest = tables.read(view, columns=[*keys, EVENT]).sort(EVENT).tail(1)
    return lookup_ms(store, view, newest.select(keys).to_dict(as_series=False), as_of)


def _named(text: str) -> tuple[str, tuple[str, ...]]:
    name, separator, features = text.partition("=")
    if not name or not separator or not features:
        raise InputError(f"Cannot read the group {text!r}. Expected name=feature,feature, such as sky=weather_visib.")
    return name, tuple(each.strip() for each in features.split(","))
