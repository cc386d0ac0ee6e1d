"""A candidate's bento, started before its release: sound it passes, and each of eight faults is refused by name."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from esteira.limits import ServiceLimits
from esteira.settings import settings
from esteira.stores.model_store import models
from esteira.stores.releases import bentos, golden_sets, ledger
from esteira.stores.releases.service_check import ServiceVerdict, judge_bento
from esteira.training.golden import GoldenRequests
from tests.bentos import belt
from tests.bentos.test_flight_delay import home  # noqa: F401 - a fixture, made anew for this file

pytestmark = [
    pytest.mark.slow,
    # Said by Feast at every apply with an on-demand view; the concern is its own offline path, which we do not use.
    pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature:RuntimeWarning"),
]


@dataclass(frozen=True)
class Candidate:
    bento: bentos.BuiltBento
    model: models.Model
    proposal: ledger.Proposal
    golden: GoldenRequests

    def judged(self, bento: bentos.BuiltBento | None = None, **limits: float) -> ServiceVerdict:
        declared = belt.USE_CASE
        tight = ServiceLimits(**{"most_p99_ms": 600.0, "most_start_seconds": 240.0, **limits})  # other tests run too
        judged = judge_bento(
            type(declared)(**{**vars(declared), "service": tight}), bento or self.bento, self.model, self.proposal,
            self.golden,
        )  # fmt: skip
        assert list((settings().home / "trials").iterdir()) == []
        assert not [each for each in psutil.process_iter(["cmdline"]) if _serves(each)], "a service was left behind"
        return judged


def _serves(process: psutil.Process) -> bool:
    return str(settings().bentoml_path / "bentos") in " ".join(process.info["cmdline"] or ())


@pytest.fixture(scope="module")
def candidate(home: Path) -> Candidate:  # noqa: F811
    belt.ingest()
    card = belt.train(1)
    model, proposal = models.load(card.use_case, card.version), belt.proposal(card)
    golden = golden_sets.fitted_to(golden_sets.for_release(belt.USE_CASE, model, belt.REACHED), card.columns)
    return Candidate(bentos.build(card.use_case, proposal), model, proposal, golden)


def test_a_sound_candidate_passes(candidate: Candidate) -> None:
    verdict = candidate.judged().verdict
    assert verdict.passed, verdict.sentences
    assert [each.name for each in verdict.checks] == [
        "start", "schema", "range", "equality", "p99", "memory", "memory growth",
    ]  # fmt: skip
    assert "32 of 32 golden requests are answered as the stored model answers them." in verdict.sentences
    assert not ledger.is_released("flight_delay"), "the trial's ledger is its own"


PREDICTOR = "src/esteira/serving/predictor.py"
RETURNED = "        return raw\n"
COLUMNS = "            columns = {name: values[name] for name in self.names}\n"


@dataclass(frozen=True)
class Fault:
    """What is put in place of what in a packed file, and the check that must refuse it, with its words."""

    check: str
    words: str
    new: str | None = None
    old: str = RETURNED
    file: str = PREDICTOR


FAULTS = {
    "corrupt model file": Fault(
        file="models/*/*/trees.ubj", check="start", words=r"AlteredModel: File 'trees.ubj'.*SHA-256"
    ),
    "missing dependency": Fault(
        file="bentos/flight_delay/service.py",
        old="import bentoml\n",
        new="import bentoml\nimport absent_part\n",
        check="start",
        words="No module named 'absent_part'",
    ),
    "slow predict": Fault(
        new="        __import__('time').sleep(0.8)\n" + RETURNED, check="p99", words=r"99 % were answered in \d{3,}"
    ),
    "NaN output": Fault(
        old=RETURNED,
        new="        return raw * float('nan')\n",
        check="range",
        words="the prediction for request 0 is (null|nan)",
    ),
    "column order": Fault(
        old=COLUMNS,
        new="            numbers = [each.name for each in self.card.columns if each.type == 'number']\n"
        "            taken = dict(zip(numbers, sorted(numbers), strict=True))\n"
        "            columns = {name: values[taken.get(name, name)] for name in self.names}\n",
        check="equality",
        words="columns in alphabetical order: the order of the columns",
    ),
    "dtype": Fault(
        old=COLUMNS,
        new="            whole = lambda each: int(each) if isinstance(each, float) else each\n"
        "            columns = {name: [whole(each) for each in values[name]] for name in self.names}\n",
        check="equality",
        words="numbers cut to whole ones: the dtype",
    ),
    "memory growth": Fault(
        new="        self.__dict__.setdefault('kept', []).append(b'x' * 200_000)\n" + RETURNED,
        check="memory growth",
        words=r"it grew by \d\d\.\d MB",
    ),
    "swapped class order": Fault(
        new="        return 1 - raw\n", check="equality", words="the order of the classes is swapped"
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_refused_with_its_cause(candidate: Candidate, fault: str) -> None:
    injected = FAULTS[fault]
    spoilt = settings().bentoml_path / "bentos" / "flight_delay" / fault.replace(" ", "-")
    shutil.copytree(candidate.bento.path, spoilt)
    (file,) = (spoilt / "src").glob(injected.file)
    if injected.new is None:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        assert injected.old in file.read_text()
        file.write_text(file.read_text().replace(injected.old, injected.new, 1))
    verdict = candidate.judged(bentos.BuiltBento(tag=f"flight_delay:{spoilt.name}", path=spoilt)).verdict
    assert not verdict.passed
    broken = {each.name: each.sentence for each in verdict.checks if not each.passed}
    assert injected.check in broken, broken
    assert re.search(injected.words, broken[injected.check]), broken[injected.check]
