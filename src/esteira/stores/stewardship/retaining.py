"""What is kept in the stores, what of it a release still needs, and its removal."""

from datetime import datetime

from esteira import use_cases
from esteira.stewardship.retention import (
    Decision,
    Item,
    Staying,
    decide,
    of_model,
    of_release,
    of_training,
    table_retention,
)
from esteira.stores.data import table_expiry, tables
from esteira.stores.model_store import models, training_sets, verdicts
from esteira.stores.monitoring import profiles
from esteira.stores.releases import ledger
from esteira.stores.stewardship import holds

_GATE = "gate"


def items(use_case: str) -> list[Item]:
    """Everything of a use case that is removed whole."""
    return [
        *(
            Item(name=f"model:{use_case}/{card.version}", serves=of_model(use_case, card.version), moment=card.as_of)
            for card in models.cards(use_case)
        ),
        *(
            Item(name=f"training-set:{use_case}/{path.name}", serves=of_training(use_case, at), moment=at)
            for path, at in training_sets.of_use_case(use_case)
        ),
        *(
            Item(
                name=f"profiles:{use_case}/{window.name}",
                serves=of_release(use_case, window.release),
                moment=window.end,
            )
            for window in profiles.list_windows(use_case)
        ),
    ]


def staying(use_case: str) -> list[Staying]:
    """The releases that must stay whole: the champion with its challenger, and the one a rollback would restore."""
    if not ledger.is_released(use_case):
        return []
    champion = ledger.live(use_case)
    kept = [(champion, "the champion needs it")]
    if champion.traffic is not None:
        beside = champion.model_copy(update={"model_version": champion.traffic.challenger})
        kept.append((beside, "the challenger beside the champion needs it"))
    if before := ledger.before(champion):
        kept.append((ledger.release(use_case, before), "the release before the champion needs it"))
    trained = {card.version: card.as_of for card in models.cards(use_case)}
    return [
        Staying(
            use_case=use_case,
            id=each.origin,
            model_version=each.model_version,
            trained_at=trained.get(each.model_version, each.released_at),
            why=why,
        )
        for each, why in kept
    ]


def retain_items(use_case: str, as_of: datetime) -> tuple[Decision, ...]:
    """Decide about every item of a use case, and remove what is decided to be removed.

    Decided anew before each removal, while no release can be made: what becomes needed meanwhile is not removed.
    """
    decided = _decide(use_case, items(use_case), as_of)
    done = []
    for decision in decided:
        if decision.removed:
            with ledger.standing_still():
                (item,) = [each for each in items(use_case) if each.name == decision.item]
                (again,) = _decide(use_case, [item], as_of)
                if again.removed:
                    _remove(use_case, item)
                done.append(again)
        else:
            done.append(decision)
    return tuple(done)


def expire_rows(use_case: str, as_of: datetime) -> dict[str, int]:
    """Remove the rows that are older than every use case of their table keeps them; table -> rows removed.

    Versions that the models of staying releases were trained on can still be read afterwards. Held tables are left
    alone.
    """
    declared = use_cases.get(use_case)
    kept_for = table_retention(use_cases.get(name) for name in use_cases.names())
    named = {table.name for table in declared.source.tables} | {table.name for table in declared.feature_tables}
    named |= {f"predictions_{use_case}"}
    held = {hold.item for hold in holds.active()}
    return {
        table: table_expiry.expire(table, as_of - kept_for[table], keep_versions=_versions_needed(table))
        for table in sorted(named & kept_for.keys())
        if tables.exists(table) and f"table:{table}" not in held
    }


def _versions_needed(table: str) -> set[int]:
    """The versions of a table that models name which must stay, of any use case."""
    held = {hold.item for hold in holds.active()}
    needed = set()
    for use_case in use_cases.names():
        stay = {each.model_version for each in staying(use_case)}
        for card in models.cards(use_case):
            if card.version in stay or f"model:{use_case}/{card.version}" in held:
                needed |= {version for name, version in card.data_versions.items() if name == table}
    return needed


def _decide(use_case: str, about: list[Item], as_of: datetime) -> tuple[Decision, ...]:
    judged = {subject for subject, _, _ in verdicts.recorded(use_case, _GATE)}
    cards = [card for card in models.cards(use_case) if card.version not in judged]
    unjudged = [
        Item(name=each, serves=serves, moment=card.as_of)
        for card in cards
        for each, serves in (
            (f"model:{use_case}/{card.version}", of_model(use_case, card.version)),
            ("training-set", of_training(use_case, card.as_of)),
        )
    ]
    return decide(
        about,
        use_cases.get(use_case).retention,
        as_of,
        staying=staying(use_case),
        unjudged=unjudged,
        held={hold.item for hold in holds.active()},
    )


def _remove(use_case: str, item: Item) -> None:
    name = item.name.partition("/")[2]
    match item.kind:
        case "model":
            models.remove(use_case, name)
        case "training-set":
            training_sets.remove(use_case, name)
        case "profiles":
            profiles.remove(use_case, profiles.read_name(name))
