"""A bento judged: started, asked golden requests, compared with the stored model, and what explains a difference."""

import numpy as np

from esteira.contract import UseCase
from esteira.model_card import Frozen
from esteira.serving.answers import Answer
from esteira.stores.model_store.models import Model
from esteira.stores.releases import golden_sets, trial
from esteira.stores.releases.bentos import BuiltBento
from esteira.stores.releases.ledger import Proposal
from esteira.training.disagreement import explain_difference
from esteira.training.golden import GoldenRequests
from esteira.training.service_check import Expected, Observed, differing, judge_service
from esteira.training.verdict import Verdict


class ServiceVerdict(Frozen):
    """What was decided about a service, about which bento, and by which requests."""

    verdict: Verdict
    bento: str
    """Its tag, which names the digest of all that is packed."""
    golden_sha256: str
    golden_source: str


def judge_bento(
    declared: UseCase,
    bento: BuiltBento,
    model: Model,
    proposal: Proposal,
    golden: GoldenRequests,
) -> ServiceVerdict:
    """Start a bento, ask it ``golden`` (fitted to the model), and judge it by the use case's limits."""
    limits = declared.service
    observed = trial.observe(bento, proposal, golden, most_seconds=limits.most_start_seconds)
    expected = golden_sets.expected(golden_sets.predictor(model, proposal), golden)
    causes = _causes(declared, model, proposal, golden, observed, expected)
    verdict = judge_service(limits, observed, expected, contract=Answer, causes=causes)
    return ServiceVerdict(verdict=verdict, bento=bento.tag, golden_sha256=golden.sha256, golden_source=golden.source)


def _causes(
    declared: UseCase,
    model: Model,
    proposal: Proposal,
    golden: GoldenRequests,
    observed: Observed,
    expected: Expected,
) -> list[str]:
    if not differing(declared.service, observed, expected) or not all(isinstance(e, dict) for e in observed.answers):
        return []
    answering = golden_sets.predictor(model, proposal)
    asked = [place for place, each in enumerate(observed.answers) if each.get("prediction") is not None]
    return explain_difference(
        model.card.columns,
        {name: [values[place] for place in asked] for name, values in golden.values.items()},
        [observed.answers[place]["prediction"] for place in asked],
        binary=declared.kind == "binary",
        output=answering.output,
        adjust=lambda outputs: answering.post_processing.adjust(
            np.asarray(outputs), {name: [values[place] for place in asked] for name, values in golden.given.items()}
        ),
        tolerance=declared.service.tolerance,
    )
