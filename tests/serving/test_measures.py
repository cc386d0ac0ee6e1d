import json
import os
import re
import subprocess
import sys
from pathlib import Path

from esteira.serving.measures import measures, page
from esteira.settings import REPOSITORY

DASHBOARD = REPOSITORY / "docs" / "grafana-dashboard.json"


def test_every_series_the_dashboard_asks_for_is_one_a_service_tells() -> None:
    measures()
    told = set(re.findall(r"^# TYPE (\S+)", page().decode(), flags=re.MULTILINE))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {name for panel in panels for each in panel["targets"] for name in re.findall(r"esteira_\w+", each["expr"])}
    assert len(asked) >= 8
    for name in asked:
        assert name.removesuffix("_bucket") in told, name


def test_measures_of_several_processes_are_merged_and_those_of_the_dead_left_out(tmp_path: Path) -> None:
    program = """
import os, sys
from esteira.serving.measures import measures, page
measures().replied("/predict", 200, 0.004)
measures().logs(waiting=3, failing=False, dropped=0)
if sys.argv[1:]:
    sys.stdout.write(page().decode())
"""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    run = [sys.executable, "-c", program]
    subprocess.run(run, env=environment, check=True)
    told = subprocess.run([*run, "page"], env=environment, check=True, capture_output=True, text=True).stdout
    assert 'esteira_requests_total{path="/predict",status="200"} 2.0' in told
    assert "esteira_log_waiting 3.0" in told
