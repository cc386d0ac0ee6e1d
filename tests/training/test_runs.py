from datetime import UTC, datetime
from typing import Any

from esteira.training.runs import Difference, Run, differences


def run(**changed: Any) -> Run:
    known: dict[str, Any] = {
        "run_id": "a", "use_case": "flight_delay", "status": "FINISHED", "started": datetime(2013, 3, 1, tzinfo=UTC),
        "parameters": {"depth": "6", "seed": "1"},
        "metrics": {"auc": 0.75, "importance/delay": 0.5, "slices/origin/JFK/auc": 0.7},
        "facts": {
            "as_of": "2013-03-01", "data_version/arrivals": "3", "code_commit": "c", "lock_sha256": "l",
            "python": "3.11", "version/numpy": "2", "model_version": "m", "cause": "By hand.",
        },
    }  # fmt: skip
    return Run(**{**known, **changed})


def test_equal_runs_differ_in_nothing() -> None:
    assert not any(differences(run(), run(run_id="b")).values())


def test_each_difference_stands_in_its_section_with_both_sides() -> None:
    other = run(
        parameters={"depth": "8", "seed": "1", "new": "x"},
        metrics={"auc": 0.76, "importance/delay": 0.4, "slices/origin/JFK/auc": 0.6},
        facts={
            **run().facts,
            "data_version/arrivals": "4",
            "code_commit": "d",
            "version/numpy": "3",
            "cause": "Asked.",
        },
    )
    found = differences(run(), other)
    assert found["parameters"] == [
        Difference(name="depth", first="6", second="8"),
        Difference(name="new", first=None, second="x"),
    ]
    assert [each.name for each in found["data"]] == ["data_version/arrivals"]
    assert [each.name for each in found["code"]] == ["code_commit"]
    assert [each.name for each in found["environment"]] == ["version/numpy"]
    (auc,) = found["metrics"]
    assert (auc.first, auc.second, round(auc.change or 0, 6)) == ("0.75", "0.76", 0.01)


def test_features_and_slices_are_compared_on_request() -> None:
    other = run(metrics={"auc": 0.75, "importance/delay": 0.4})
    assert differences(run(), other)["metrics"] == []
    names = [each.name for each in differences(run(), other, details=True)["metrics"]]
    assert names == ["importance/delay", "slices/origin/JFK/auc"]


def test_a_run_says_what_it_came_to() -> None:
    assert (run().version, run().failure) == ("m", "")
    failed = run(facts={"failed_because": "No labels."})
    assert (failed.version, failed.failure) == ("", "No labels.")
