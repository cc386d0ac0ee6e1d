import json
import os
import re
import subprocess
import sys
from pathlib import Path

from esteira.settings import REPOSITORY

DASHBOARD = REPOSITORY / "docs" / "grafana-dashboard.json"
PROGRAM = """
import sys
from esteira.serving.answers import Answer
from esteira.serving.measures import measures, page
ages = {"weather": 60.0, "plan": None}
answer = Answer.model_construct(source="computed", missing=["gust"], stale=[], feature_ages=ages)
measures().answered([answer])
measures().serves("flight_delay", 3, "m3")
measures().replied("/predict", 200, 0.004)
measures().logs(waiting=3, failing=False, dropped=0)
sys.stdout.write(page().decode())
"""


def told(folder: Path) -> str:
    """The page of one more process, which shares its measures in ``folder``."""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, capture_output=True, text=True)
    return ran.stdout


def test_every_series_the_dashboard_asks_for_is_one_a_service_tells(tmp_path: Path) -> None:
    told_of = set(re.findall(r"^# TYPE (\S+)", told(tmp_path), flags=re.MULTILINE))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for panel in panels for each in panel["targets"] for name in re.findall(r"esteira_\w+", each["expr"])}
    assert len(asked) >= 8
    for name in asked:
        assert name.removesuffix("_bucket") in told_of, name


def test_measures_of_several_processes_are_merged_and_those_of_the_dead_left_out(tmp_path: Path) -> None:
    told(tmp_path)
    page = told(tmp_path)
    assert 'esteira_requests_total{path="/predict",status="200"} 2.0' in page
    assert "esteira_log_waiting 3.0" in page
    assert 'esteira_feature_age_seconds_count{view="weather"} 2.0' in page
    assert 'view="plan"' not in page
