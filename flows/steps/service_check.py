"""The step that starts a challenger's service as it would serve, and judges what it answers."""

from datetime import datetime

from esteira import use_cases
from esteira.stores.model_store import models, verdicts
from esteira.stores.model_store.verdicts import SERVICE
from esteira.stores.releases import bentos, golden_sets
from esteira.stores.releases.service_check import ServiceVerdict, judge_bento
from esteira.training.verdict import with_checks
from flows.steps.judging import Judgement, alert_of_refusal
from flows.steps.release import propose
from flows.steps.step import step


@step
def check_service(use_case: str, challenger: str, judgement: Judgement, as_of: datetime) -> Judgement:
    """Build the bento of a challenger that passed its gate, start it, ask it golden requests; join the verdicts.

    The verdict is kept either way, a refusal opens an alert. A bento whose very content passed before with the same
    golden requests is not started again. What is not served, or did not pass the gate, is returned as it came.
    """
    declared = use_cases.get(use_case)
    if not declared.is_served or not judgement.verdict.passed:
        return judgement
    model = models.load(use_case, challenger)
    proposal = propose(model, judgement, as_of)
    golden = golden_sets.fitted_to(golden_sets.for_release(declared, model, as_of), model.card.columns)
    bento = bentos.build(use_case, proposal)
    earlier = [ServiceVerdict.model_validate(each["whole"]) for _, _, each in verdicts.recorded(use_case, SERVICE)]
    found = next((each for each in earlier if (each.bento, each.golden_sha256) == (bento.tag, golden.sha256)), None)
    if found is None or not found.verdict.passed:
        found = judge_bento(declared, bento, model, proposal, golden)
    kept = {"passed": found.verdict.passed, "whole": found.model_dump(mode="json")}
    verdicts.record(use_case, SERVICE, challenger, as_of, kept)
    joined = with_checks(judgement.verdict, found.verdict.checks)
    if not joined.passed:
        alert_of_refusal(declared, challenger, joined, as_of)
    return judgement.model_copy(update={"verdict": joined})
