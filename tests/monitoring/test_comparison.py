from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from esteira.contract import utc
from esteira.errors import WrongColumns
from esteira.monitoring.comparison import Comparison, compare
from esteira.traffic import Traffic

START = utc("2013-03-01T12:00:00Z")
MATURITY = timedelta(days=1)
SHADOW = {7: Traffic(mode="shadow", challenger="m2", card_sha256="", share=0)}


def split(**shares: float) -> dict[int, Traffic]:
    return {int(n[1:]): Traffic(mode="split", challenger="m2", card_sha256="", share=s) for n, s in shares.items()}


def row(entity: str, role: str, prediction: float, outcome: float | None, **more: Any) -> dict[str, Any]:
    minute = int(entity[1:])
    name = f"{entity}-{role}"
    return {
        "prediction_id": name,
        "entity_id": entity,
        "as_of": START + timedelta(minutes=minute),
        "release": 7,
        "role": role,
        "shadow_of": f"{entity}-champion" if role == "shadow" else None,
        "prediction": prediction,
        "outcome": outcome,
        "outcome_known_at": START + timedelta(hours=2),
        "status": "known" if outcome is not None else "pending",
        **more,
    }


def compared(rows: list[dict[str, Any]], traffic: dict[int, Traffic], **more: Any) -> Comparison:
    facts: dict[str, Any] = {"kind": "binary", "bounds": (0.0, 1.0), "maturity": MATURITY} | more
    frame = pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"outcome": pl.Float64})
    return compare(frame, "m1", traffic, **facts)


def shadowed(count: int, champion: float, challenger: float) -> list[dict[str, Any]]:
    outcomes = np.random.default_rng(1).random(count) < 0.3
    return [
        row(f"e{place}", role, said, float(late))
        for place, late in enumerate(outcomes)
        for role, said in (("champion", champion), ("shadow", challenger))
    ]


def test_a_worse_challenger_in_the_shadow_is_told_with_its_interval() -> None:
    found = compared(shadowed(600, 0.3, 0.9), SHADOW)
    assert (found.verdict, found.entities) == ("worse", (600, 600))
    assert found.losses is not None
    now = found.looks[-1]
    assert now.low > 0
    assert now.low < found.losses[1] - found.losses[0] < now.high
    assert found.sentence.startswith("It is worse: the Brier score of m2 is +0.")
    assert "on 600 entities" in found.sentence


def test_a_better_one_is_told_and_equals_stay_undecided() -> None:
    assert compared(shadowed(600, 0.9, 0.3), SHADOW).verdict == "better"
    assert compared(shadowed(600, 0.3, 0.3), SHADOW).verdict == "undecided"


def test_each_entity_counts_once_by_what_was_said_first_and_only_with_its_outcome() -> None:
    rows = shadowed(3, 0.2, 0.4)
    later = {"as_of": START + timedelta(hours=5)}
    rows += [row("e0", "champion", 1.0, 0.0, prediction_id="again", **later)]
    rows += [row("e0", "shadow", 1.0, 0.0, prediction_id="its", shadow_of="again", **later)]
    rows += [row("e8", "champion", 0.5, None), row("e8", "shadow", 0.5, None)]
    rows += [row("e9", "champion", 0.5, 1.0)]  # its shadow was dropped
    found = compared(rows, SHADOW)
    assert found.entities == (3, 3)
    assert found.looks[-1].entities == 3


def test_releases_of_other_comparisons_do_not_count() -> None:
    rows = [each | {"release": 6} for each in shadowed(50, 0.3, 0.9)]
    assert compared(rows, SHADOW).entities == (0, 0)


def test_without_an_outcome_nothing_is_claimed() -> None:
    found = compared([row("e1", "champion", 0.5, None), row("e1", "shadow", 0.5, None)], SHADOW)
    assert (found.verdict, found.losses, found.looks) == ("undecided", None, ())
    assert "no outcome has matured" in found.sentence


def answered(traffic: dict[int, Traffic], release: int, entities: range, champion: float, challenger: float) -> Any:
    """What callers were told while ``release`` was live; one outcome in three is 1."""
    return [
        row(f"e{place}", role, challenger if its else champion, float(place % 3 == 0), release=release)
        for place in entities
        for its in [traffic[release].is_challengers(f"e{place}")]
        for role in ["challenger" if its else "champion"]
    ]


def test_a_split_compares_those_who_met_either_whatever_the_share_was() -> None:
    traffic = split(r7=0.2, r8=0.6)
    rows = answered(traffic, 7, range(1500), 0.3, 0.95) + answered(traffic, 8, range(1500, 3000), 0.3, 0.95)
    found = compared(rows, traffic)
    assert found.verdict == "worse"
    assert found.entities[0] + found.entities[1] == 3000
    assert found.looks[-1].estimate == pytest.approx(0.4, abs=0.1)


def test_answers_of_a_champion_that_stood_in_count_for_neither() -> None:
    traffic = split(r7=0.5)
    rows = answered(traffic, 7, range(100), 0.3, 0.3)
    its = [each["entity_id"] for each in rows if each["role"] == "challenger"]
    stood_in = [each | {"role": "champion"} if each["entity_id"] == its[0] else each for each in rows]
    found = compared(stood_in, traffic)
    assert found.entities == (100 - len(its), len(its) - 1)


def test_estimates_are_compared_by_their_absolute_error_within_the_bounds() -> None:
    rows = [
        row(f"e{place}", role, said, 1e9 if place == 0 else 100.0)
        for place in range(400)
        for role, said in (("champion", 110.0), ("shadow", 260.0))
    ]
    found = compared(rows, SHADOW, kind="regression", bounds=(20.0, 600.0))
    assert found.loss == "absolute error"
    assert found.losses == (pytest.approx((399 * 10 + 490) / 400), pytest.approx((399 * 160 + 340) / 400))
    assert found.verdict == "worse"


def test_a_frame_without_roles_is_refused() -> None:
    rows = pl.DataFrame(shadowed(3, 0.1, 0.2)).drop("role")
    with pytest.raises(WrongColumns, match="without role"):
        compare(rows, "m1", SHADOW, kind="binary", bounds=(0, 1), maturity=MATURITY)
