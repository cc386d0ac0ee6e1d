from pathlib import Path

from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from tests.cli.test_cli import esteira


def test_the_log_is_shown_and_proved_and_an_unknown_head_fails(home: Path) -> None:
    audit.record(Deed(actor="ana", action="held", subject="table:arrivals", reason="a lawsuit"))
    assert "ana  held  table:arrivals  a lawsuit" in esteira(home, "audit", "--actor", "ana").stdout
    assert str(audit.head()) in esteira(home, "audit", "--verify").stdout
    refused = esteira(home, "audit", "--head", f"2:{'0' * 64}")
    assert refused.returncode == 1
    assert "the head you kept knows 2, the log has 1" in refused.stderr
