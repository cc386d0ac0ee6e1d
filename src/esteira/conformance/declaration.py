"""Laws that a declaration keeps by itself, before any record is read."""

from collections import Counter
from inspect import Parameter, signature

from esteira.conformance.case import Case
from esteira.conformance.law import law, require
from esteira.contract import CREATED, EVENT, PREDICTED_AT
from esteira.data.schema import require_declared
from esteira.errors import BrokenLaw
from esteira.settings import settings
from esteira.stores.data import schemas
from esteira.stores.feature_store import features

_BUILD = {"seed", "threads", "device"}
_RESERVED = {EVENT, CREATED, PREDICTED_AT, "outcome", "outcome_known_at", "prediction"}


@law("declaration")
def it_says_what_it_is_for_and_whose_it_is(case: Case) -> None:
    """It says what it is for and whose it is."""
    declared = case.use_case
    for name in ("purpose", "owner"):
        require(
            bool(getattr(declared, name).strip()),
            f"{name} is empty. Say it in {case.folder}__init__.py: cards show it.",
        )
    require(
        bool(declared.limits),
        f"limits is empty: nobody learns what the model is not for. Add a sentence in {case.folder}__init__.py.",
    )


@law("declaration")
def no_two_tables_share_a_name(case: Case) -> None:
    """No two of its tables share a name, and none takes a word the belt needs."""
    declared = case.use_case
    names = [*(each.name for each in declared.source.tables), *(each.name for each in declared.feature_tables)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    require(not twice, f"The tables {twice} are declared twice. Rename one: raw and feature tables lie side by side.")
    columns = {name: table.name for table in declared.source.tables for name in table.columns}
    taken = {name: table for name, table in columns.items() if name in _RESERVED - {"outcome"}}
    require(not taken, f"The belt itself uses the column names {taken} (column: table). Rename them in the source.")


@law("declaration")
def what_is_read_is_declared(case: Case) -> None:
    """Every table it reads is one that its source delivers."""
    declared = case.use_case
    delivered = {table.name for table in declared.source.tables}
    wanted = {"entity_reads": declared.entity_reads, "outcome_reads": declared.outcome_reads} | {
        f"feature table {table.name}": table.reads for table in declared.feature_tables
    }
    for place, names in wanted.items():
        absent = sorted(set(names) - delivered)
        require(not absent, f"{place} reads {absent}, but the source delivers {sorted(delivered)}. Correct the name.")


@law("declaration")
def every_raw_table_has_a_reviewed_schema(case: Case) -> None:
    """Every raw table has a reviewed schema of exactly its columns, which shows no restricted value."""
    source = case.use_case.source
    accepted = schemas.accepted(source)
    if accepted is None:
        raise BrokenLaw(
            f"{source.schema_file} does not exist. Have one proposed from the data, read it, accept and commit it: "
            f"esteira data schema propose {case.use_case.name}"
        )
    for table in source.tables:
        require(table.name in accepted.tables, f"{source.schema_file} says nothing of table {table.name!r}.")
        require_declared(accepted.tables[table.name], table, str(source.schema_file))
        for column in features.sensitive_columns().keys() & table.columns.keys():
            kind = accepted.tables[table.name].columns[column].kind
            require(
                kind == "identifier",
                f"{column!r} is restricted, but the schema of {table.name!r} has it as {kind}: profiles would show "
                'its values. Make its kind "identifier".',
            )


@law("declaration")
def the_entity_is_one_of_the_keys(case: Case) -> None:
    """What is predicted for is one of the keys, and the asking moment is not declared twice."""
    declared = case.use_case
    require(
        declared.entity_id in declared.entity_keys,
        f"entity_id {declared.entity_id!r} is not among entity_keys {declared.entity_keys}. Add it there.",
    )
    both = sorted(set(declared.entity_keys) & set(declared.request_inputs))
    require(not both, f"{both} are both entity keys and request inputs. Declare each once.")


@law("declaration")
def every_candidate_can_be_built(case: Case) -> None:
    """Every candidate can be built from its parameters, a seed, threads and a device."""
    require(bool(case.use_case.candidates), f"There is no candidate. Declare one in {case.folder}model.py.")
    for candidate in case.use_case.candidates:
        taken = signature(candidate.build).parameters.values()
        accepted = {each.name for each in taken if each.kind is not Parameter.VAR_KEYWORD}
        expected = _BUILD | set(candidate.parameters)
        # What ``**named`` takes is known to what it hands them on to: building shows whether that is content.
        agree = accepted <= expected if len(accepted) < len(taken) else accepted == expected
        require(
            agree,
            f"Candidate {candidate.name!r} takes {sorted(accepted)}, but is given {sorted(expected)}. "
            f"Make build and parameters agree in {case.folder}model.py.",
        )
        candidate.build(seed=1, threads=1, device="cpu", **candidate.parameters)


@law("declaration")
def the_decision_lies_within_the_bounds(case: Case) -> None:
    """Bounds are a range, and the decision's threshold lies in it."""
    declared = case.use_case
    low, high = declared.bounds
    require(low < high, f"bounds {declared.bounds} is no range. Expected the lower one first.")
    if declared.kind == "binary":
        require(low >= 0 and high <= 1, f"bounds {declared.bounds} exceed what a probability can be. Expected 0 to 1.")
        require(low <= declared.threshold <= high, f"threshold {declared.threshold} lies outside {declared.bounds}.")


@law("declaration")
def it_is_served_or_says_that_it_is_not(case: Case) -> None:
    """It has a bento, or says that it is batch only."""
    folder = settings().repository / "bentos" / case.use_case.name
    if case.use_case.is_served:
        require(
            (folder / "service.py").is_file(),
            f"bentos/{case.use_case.name}/service.py does not exist. Write it (bentos/flight_delay is an example), or "
            f"declare is_served=False in {case.folder}__init__.py: predictions are then only made ahead.",
        )
    else:
        require(not folder.exists(), f"is_served is False, but bentos/{case.use_case.name}/ exists. Decide for one.")
