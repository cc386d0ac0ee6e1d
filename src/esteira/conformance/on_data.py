"""Laws about time and features, checked on a use case's own data after ingest."""

from datetime import timedelta

import polars as pl

from esteira.conformance.case import Case
from esteira.conformance.law import law, require
from esteira.contract import CREATED, EVENT
from esteira.errors import BrokenLaw, EsteiraError
from esteira.stores import clock
from esteira.stores.data import tables
from esteira.stores.feature_store import features
from esteira.stores.feature_store.online_features import OnlineFeatures
from esteira.training.labels import OUTCOME, OUTCOME_KNOWN_AT, upcoming
from esteira.training.leakage import require_no_leak


@law("data")
def computed_columns_are_the_declared_ones(case: Case) -> None:
    """Each feature table has the columns and keys that its Feast view declares."""
    for table in case.use_case.feature_tables:
        view = features.open_store().get_feature_view(table.name)
        declared = {*(field.name for field in view.features), *view.join_keys, EVENT, CREATED}
        computed = set(tables.read(table.name).columns)
        require(
            computed == declared,
            f"{table.name}: computed but not declared: {sorted(computed - declared)}; declared but not computed: "
            f"{sorted(declared - computed)}. Make feature_repo/ and the use case's features agree.",
        )
        require(
            set(view.join_keys) == set(table.keys),
            f"{table.name}: keys are {table.keys} in the use case and {view.join_keys} in feature_repo/. Use the same.",
        )


@law("data")
def every_view_says_what_it_is_and_whose(case: Case) -> None:
    """Every view and every feature says what it is, whose it is and how long it holds."""
    for table in case.use_case.feature_tables:
        view = features.open_store().get_feature_view(table.name)
        for name in ("description", "owner", "ttl"):
            require(bool(getattr(view, name)), f"View {table.name!r} has no {name}. State it in feature_repo/.")
        silent = [field.name for field in view.features if not field.description]
        require(not silent, f"In view {table.name!r} the features {silent} have no description. Add them.")


@law("data")
def no_feature_row_is_known_before_it_is_true(case: Case) -> None:
    """No feature row is known before it is true, and each has its key."""
    for table in case.use_case.feature_tables:
        rows = tables.read(table.name)
        early = rows.filter(pl.col(EVENT) > pl.col(CREATED)).height
        require(not early, f"{table.name}: {early} rows have {CREATED} before {EVENT}. Nothing is known before it is.")
        keyless = rows.select(table.keys[0]).null_count().item()
        require(not keyless, f"{table.name}: {keyless} rows have no {table.keys[0]}. Filter them out in compute.")


@law("data")
def no_feature_is_newer_than_its_question(case: Case) -> None:
    """No feature of a training row is newer than its moment, neither in event time nor in knowledge time."""
    times = features.join_times(case.use_case.feature_service, case.labelled)
    newer = [name for name in times.columns if (times[name] > case.labelled[EVENT]).any()]
    require(not newer, f"{newer} hold times after the row's own. This is a fault of the join: report it.")


@law("data")
def a_label_is_unknown_before_its_outcome_arrived(case: Case) -> None:
    """A label is learned after the question was asked and no earlier than its outcome arrived."""
    early = case.labelled.filter(pl.col(OUTCOME_KNOWN_AT) <= pl.col(EVENT)).height
    require(
        not early,
        f"{early} of {case.labelled.height} outcomes are known when the question is asked: that is a leak, "
        f"no prediction. Ask earlier (build_entities) or correct {CREATED} in build_outcomes.",
    )
    before = case.as_of - case.use_case.holdout / 2
    then = case.labelled_as_of(before)
    require(
        then.height < case.labelled.height and bool((then[OUTCOME_KNOWN_AT] <= before).all()),
        f"As of {before.isoformat()} as many labels are known as later. {CREATED} of build_outcomes must be the moment "
        "the outcome became known.",
    )


@law("data")
def outcomes_take_no_longer_than_declared(case: Case) -> None:
    """Outcomes take no longer to be known than label_delay says."""
    taken = (case.labelled[OUTCOME_KNOWN_AT] - case.labelled[EVENT]).max()
    require(
        isinstance(taken, timedelta) and taken <= case.use_case.label_delay,
        f"An outcome took {taken!s}, label_delay is {case.use_case.label_delay}: training and judging rows would "
        "overlap. Raise label_delay.",
    )


@law("data")
def a_binary_outcome_is_zero_or_one(case: Case) -> None:
    """Outcomes are finite numbers; those of a binary use case are 0 or 1, and both occur."""
    outcomes = case.labelled[OUTCOME]
    require(
        bool(outcomes.is_finite().all()) and not outcomes.null_count(),
        "Some outcomes are missing or not finite. Leave entities without an outcome out of build_outcomes.",
    )
    if case.use_case.kind == "binary":
        found = sorted(outcomes.unique().to_list())
        require(found == [0.0, 1.0], f"Outcomes are {found[:5]}. Expected 0.0 and 1.0, both.")


@law("data")
def rows_out_are_rows_in(case: Case) -> None:
    """A training set has every labelled row, once, in order."""
    same = case.training_set.select(case.labelled.columns).equals(case.labelled)
    require(same, "The training set's rows are not the labelled rows in their order. This is a fault of the join.")


@law("data")
def no_label_hides_in_a_feature(case: Case) -> None:
    """No feature gives the outcome away, and none knows more than its row's moment."""
    columns = features.service_columns(case.use_case.feature_service)
    try:
        require_no_leak(case.use_case, case.training_set, columns, as_of=case.as_of)
    except EsteiraError as leak:
        raise BrokenLaw(str(leak)) from leak


@law("data")
def online_features_equal_offline_ones(case: Case) -> None:
    """What the online store gives for entities ahead is what the offline path gives at the same moment."""
    declared = case.use_case
    now = clock.horizon(declared)  # the online store holds the newest values only
    ahead = upcoming(declared, declared.build_entities(tables.read_known(declared.entity_reads, now)), as_of=now)
    require(
        ahead.height > 0,
        f"No entity known at {now.isoformat()} is asked for within the horizon of {declared.horizon}: nothing can be "
        "precomputed. Lengthen horizon, or correct created_timestamp in build_entities.",
    )
    offline = features.build_training_set(declared.feature_service, ahead)
    online = OnlineFeatures(features.open_store(), declared.feature_service).read(ahead.to_dict(as_series=False), now)
    differing = [name for name, values in online.values.items() if values != offline[name].to_list()]
    require(not differing, f"{differing} differ between online and offline. Run: esteira skew {declared.name}")
