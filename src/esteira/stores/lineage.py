"""Follow a prediction back to the data, code and people behind it, and data forward to the predictions made of it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from esteira import use_cases
from esteira.errors import InputError, MissingData, UnknownName
from esteira.model_card import ModelCard
from esteira.stewardship.lineage import Thing
from esteira.stores import audit
from esteira.stores.answers import predictions
from esteira.stores.data import tables
from esteira.stores.model_store import cards
from esteira.stores.releases import ledger
from esteira.stores.releases.ledger import Release
from esteira.stores.stewardship import sensitivity
from esteira.traffic import SHADOW

_KINDS = "prediction:ID, release:USE_CASE/NUMBER, model:USE_CASE:VERSION, data:TABLE or data:TABLE@VERSION"


def trace(prediction_id: str) -> Thing:
    """A prediction with its request, features, release, model, data, code and people; restricted values are masked.

    Raises UnknownName when no collected prediction has this id.
    """
    row = _predicted(prediction_id)
    had = row
    if row["role"] == SHADOW and not json.loads(row["features"]):  # it was given what the champion had
        had = _predicted(row["shadow_of"])
        row = {**row, "entity_id": had["entity_id"]}
    release = ledger.release(row["use_case"], row["release"])
    decision = "" if row["decision"] is None else f", decision {row['decision']}"
    facts = [
        ("request", row["request_id"]),
        ("entity", row["entity_id"]),
        ("asked", _moment(row["requested_at"])),
        ("as of", f"{_moment(row['as_of'])} ({row['source']}, {row['role']})"),
        ("prediction", f"{row['prediction']:.6g}{decision}"),
    ]
    if row["shadow_of"]:
        facts.append(("in the shadow of", f"prediction:{row['shadow_of']}"))
    changes = [("", f"changed by {each['rule']}: {each['reason']}") for each in json.loads(row["changes"])]
    return Thing(
        name=f"prediction:{prediction_id}",
        facts=(*facts, *changes),
        parts=(*_features(had), of_release(release, made_by=row["model_version"])),
    )


def find(name: str) -> Thing:
    """The thing of this name: a prediction, release or model with what it is made of, a data version with its uses.

    Raises InputError for a name of no kind, UnknownName when there is none of this name.
    """
    kind, _, rest = name.partition(":")
    if kind == "prediction" and rest:
        return trace(rest)
    if kind == "release" and "/" in rest and rest.rpartition("/")[2].isdigit():
        use_case, _, number = rest.rpartition("/")
        release = ledger.release(_known(use_case), int(number))
        return _with(of_release(release), *_counted(release.use_case, pl.col("release") == release.id))
    if kind == "model" and ":" in rest:
        use_case, _, version = rest.partition(":")
        card = cards.card(_known(use_case), version)
        return _with(of_model(card), *_uses(card))
    if kind == "data" and rest:
        return _of_data(rest)
    raise InputError(f"Cannot follow {name!r}. Expected one of {_KINDS}.")


def of_release(release: Release, *, made_by: str | None = None) -> Thing:
    """A release with who let it go live, and its model, or its challenger if that is ``made_by``."""
    said = [("live from", _moment(release.released_at)), ("decided by", f"{release.actor}: {release.reason}")]
    if release.traffic is not None:
        said.append(("traffic", release.traffic.in_words()))
    if release.restores is not None:
        said.append(("content of", f"release:{release.use_case}/{release.restores}"))
    version = made_by or release.model_version
    approvals = audit.entries(subject=f"model:{release.use_case}:{version}", action="approved")
    said += [("approved by", f"{each.actor}: {each.reason}") for each in approvals]
    checks = release.evidence.get("checks", ())
    if checks:
        said.append(("gate", f"passed {sum(bool(each['passed']) for each in checks)} of {len(checks)} checks"))
    return Thing(
        name=f"release:{release.use_case}/{release.id}",
        facts=tuple(said),
        parts=(_model(release.use_case, version),),
    )


def of_model(card: ModelCard) -> Thing:
    """A model with its run, its training set and the versions of tables that were read for it, and its code."""
    data = tuple(_version(table, version) for table, version in sorted(card.data_versions.items()))
    rows = f"{card.training_rows:,} rows, {card.trained_from:%Y-%m-%d} to {card.trained_until:%Y-%m-%d}"
    training = Thing(
        name=f"training set:{card.training_set_sha256[:12] or 'unknown'}",
        facts=(("rows", rows), ("known at", _moment(card.as_of)), ("features", card.feature_service)),
        parts=data,
    )
    code = Thing(
        name=f"code:{card.code_commit}",
        facts=(("sha256", card.code_sha256 or "unknown"), ("lock", card.lock_sha256)),
    )
    run = Thing(name=f"run:{card.run_id}", facts=(("candidate", card.candidate), ("cause", card.cause)))
    return Thing(
        name=f"model:{card.use_case}:{card.version}",
        facts=(("owner", card.owner), ("purpose", card.purpose)),
        parts=(run, training, code),
    )


def _model(use_case: str, version: str) -> Thing:
    try:
        return of_model(cards.card(use_case, version))
    except UnknownName:
        return Thing(name=f"model:{use_case}:{version}", facts=(("", "It was removed; its audit entries remain."),))


def _version(table: str, version: int) -> Thing:
    until = tables.slice_until(table, version) if tables.exists(table) else None
    known = ("slice until", _moment(until)) if until else ("", "The version cannot be found any more.")
    return Thing(name=f"data:{table}@{version}", facts=(known,))


def _features(row: Mapping[str, Any]) -> Sequence[Thing]:
    """The values a prediction was made of, and the moments of the views they are from."""
    given, values = json.loads(row["inputs"]), json.loads(row["features"])
    inputs = Thing(name="request inputs", facts=tuple((name, _told(value)) for name, value in given.items()))
    if not values:
        none = f"None are logged of an answer that was {row['source']}."
        return [inputs, Thing(name="features", facts=(("", none),))]
    events, known = json.loads(row["event_times"]), json.loads(row["created_times"])
    times = tuple((view, f"true at {events[view]}, known at {known.get(view)}") for view in sorted(events))
    return [
        inputs,
        Thing(name="features", facts=tuple((name, _told(value)) for name, value in values.items())),
        Thing(name="feature views", facts=times),
    ]


def _of_data(asked: str) -> Thing:
    """A table, or one version of it, with the models that read it, their releases and predictions."""
    table, at, number = asked.partition("@")
    if at and not number.isdigit():
        raise InputError(f"{number!r} is no version of table {table!r}. Expected a number: data:{table}@12")
    newest = tables.version(table)  # a table that does not exist is refused, with those that do
    wanted = int(number) if at else None
    if wanted is not None and wanted > newest:
        raise UnknownName(f"Table {table!r} has no version {wanted}. Its newest is {newest}.")
    users = [card for name in use_cases.names() for card in cards.cards(name) if table in card.data_versions]
    read = [card for card in users if wanted is None or card.data_versions[table] == wanted]
    later = sum(wanted is not None and card.data_versions[table] > wanted for card in users)
    facts = [] if wanted is None else list(_version(table, wanted).facts)
    facts.append(("models", f"{len(read)} were trained on it" if at else f"{len(read)} were trained on the table"))
    if wanted is not None:
        facts.append(("models", f"{later} more were trained on later versions, which contain its rows unless erased"))
    parts = tuple(
        Thing(
            name=f"model:{card.use_case}:{card.version}",
            facts=(("version read", str(card.data_versions[table])), ("owner", card.owner)),
            parts=_uses(card),
        )
        for card in read
    )
    return Thing(name=f"data:{asked}", facts=tuple(facts), parts=parts)


def _uses(card: ModelCard) -> tuple[Thing, ...]:
    """The releases of a model, as champion or challenger, with the number of their predictions by it."""
    its = pl.col("model_version") == card.version
    counts = _counts(card.use_case, its)
    listed = [
        each
        for each in ledger.releases(card.use_case)
        if each.model_version == card.version or (each.traffic is not None and each.traffic.challenger == card.version)
    ]
    return tuple(
        Thing(
            name=f"release:{each.use_case}/{each.id}",
            facts=(
                ("live from", _moment(each.released_at)),
                ("predictions", _count(counts.get(each.id, {}))),
            ),
        )
        for each in reversed(listed)
    )


def _counted(use_case: str, condition: pl.Expr) -> tuple[Thing, ...]:
    counts = _counts(use_case, condition)
    together: dict[str, int] = {}
    for roles in counts.values():
        for role, count in roles.items():
            together[role] = together.get(role, 0) + count
    return (Thing(name="predictions", facts=(("", _count(together)),)),)


def _counts(use_case: str, condition: pl.Expr) -> dict[int, dict[str, int]]:
    """Release -> role -> collected predictions."""
    try:
        rows = predictions.scan_predictions(use_case).filter(condition)
    except MissingData:
        return {}
    found: dict[int, dict[str, int]] = {}
    for release, role, count in rows.group_by("release", "role").len().collect().iter_rows():
        found.setdefault(release, {})[role] = count
    return found


def _count(roles: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} as {role}" for role, count in sorted(roles.items())) or "none"


def _predicted(prediction_id: str) -> dict[str, Any]:
    """The collected prediction of this id, its restricted values masked."""
    wanted = pl.col("prediction_id") == prediction_id
    for name in use_cases.names():
        try:
            found = predictions.scan_predictions(name).filter(wanted).head(1).collect()
        except MissingData:
            continue
        if found.height:
            return _masked(found)
    raise UnknownName(
        f"No collected prediction has the id {prediction_id!r}. Expected the prediction_id of an answer that was "
        "logged; a share below 1 leaves some out, and retention removes old ones."
    )


def _masked(found: pl.DataFrame) -> dict[str, Any]:
    shown = sensitivity.mask(found).row(0, named=True)
    given, masked = json.loads(found["inputs"][0]), json.loads(shown["inputs"])
    # An entity id is restricted if the key is whose value it repeats; to ask the use case would take seconds.
    hidden = [
        masked[name] for name, value in given.items() if str(value) == shown["entity_id"] and masked[name] != value
    ]
    return {**shown, "entity_id": hidden[0]} if hidden else shown


def _known(use_case: str) -> str:
    if use_case not in use_cases.names():
        raise UnknownName.among("use case", use_case, use_cases.names(), f"Expected one of {_KINDS}.")
    return use_case


def _with(thing: Thing, *parts: Thing) -> Thing:
    return thing.model_copy(update={"parts": (*thing.parts, *parts)})


def _told(value: Any) -> str:
    return "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _moment(moment: Any) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
