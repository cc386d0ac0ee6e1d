"""Judge a challenger against what is live, and release it if it passes."""

from datetime import datetime

from prefect import flow

from esteira.model_card import Frozen
from esteira.training.gate import Verdict
from flows.moment import moment_of_run
from flows.report import publish
from flows.steps import release as steps


class Validated(Frozen):
    """The verdict about one challenger, and the release it led to, if it did."""

    use_case: str
    as_of: datetime
    challenger: str
    release: int | None
    verdict: Verdict


@flow(name="validate", flow_run_name="validate-{use_case}")
def validate(use_case: str, as_of: datetime | None = None, challenger: str | None = None) -> Validated:
    """Challenger to verdict to release, or to a refusal with its reasons.

    1. Resolve the challenger: the named one, or the newest model.
    2. Score it and the champion on the same newest labelled rows, and judge.
    3. If it passed, package it and append the release.
    """
    moment = moment_of_run(as_of)
    version = steps.resolve_challenger(use_case, challenger)
    verdict = steps.judge_challenger(use_case, version, moment)
    release = steps.release_challenger(use_case, version, verdict, moment) if verdict.passed else None
    validated = Validated(
        use_case=use_case, as_of=moment, challenger=version, release=release.id if release else None, verdict=verdict
    )
    title = f"Release {release.id}: {version}" if release else f"Refused: {version}"
    publish("validated", title, validated, sentences=verdict.sentences)
    return validated
