"""Judge a challenger against what is live, and release it if it passes."""

from datetime import datetime

from prefect import flow

from esteira.model_card import Frozen
from esteira.training.verdict import Verdict
from flows.moment import moment_of_run
from flows.report import publish
from flows.steps import judging
from flows.steps.data import require_ingested
from flows.steps.plugged import run_plugged
from flows.steps.release import release_challenger
from flows.steps.service_check import check_service


class Validated(Frozen):
    """The verdict about one challenger, and the release it led to, if it did; all None when none waits to be judged."""

    use_case: str
    as_of: datetime
    challenger: str | None
    release: int | None
    verdict: Verdict | None
    outcome: str
    """What became of it, in a sentence."""


@flow(name="validate", flow_run_name="validate-{use_case}")
def validate(use_case: str, as_of: datetime | None = None, challenger: str | None = None) -> Validated:
    """Challenger to verdict to release, or to a refusal with its reasons.

    1. Require that data was ingested up to ``as_of``.
    2. Resolve the challenger: the named one, or the newest that nobody has judged.
    3. Score it and the champion on the same newest labelled rows, and judge.
    4. If it passed, start its service from its bento, ask it golden requests, and judge that as well.
    5. If all passed, append the release, if what it was judged against is still live; or ask for a person's approval.
    """
    moment = moment_of_run(as_of)
    require_ingested(use_case, moment)
    version = judging.resolve_challenger(use_case, challenger, moment)
    if version is None:
        nobody = f"No challenger waits: every model of {use_case} has been judged."
        return Validated(use_case=use_case, as_of=moment, challenger=None, release=None, verdict=None, outcome=nobody)
    judgement = judging.judge_challenger(use_case, version, moment)
    judgement = check_service(use_case, version, judgement, moment)
    verdict = judgement.verdict
    release = release_challenger(use_case, version, judgement, moment) if verdict.passed else None
    refused = f"{'Waits for approval' if verdict.passed else 'Refused'}: {version}"
    title = f"Release {release.id}: {version}" if release else refused
    validated = Validated(
        use_case=use_case, as_of=moment, challenger=version, release=release.id if release else None,
        verdict=verdict, outcome=title,
    )  # fmt: skip
    publish(
        "validated",
        title,
        validated,
        sentences=verdict.sentences,
        plugged=run_plugged("validate", use_case, moment, validated),
    )
    return validated
