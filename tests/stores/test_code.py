import subprocess
from pathlib import Path

import pytest

from esteira.settings import settings
from esteira.stores import code


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "one.py").write_text("ONE = 1\n")
    (tmp_path / "requirements.lock").write_text("numpy==2\n")
    monkeypatch.setenv("ESTEIRA_REPOSITORY", str(tmp_path))
    settings.cache_clear()
    return tmp_path


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def test_a_changed_file_makes_the_commit_dirty_and_the_digest_another(checkout: Path) -> None:
    assert code.commit() == code.NO_COMMIT
    git(checkout, "init")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-m", "one")
    clean, digest = code.commit(), code.digest()
    assert len(clean) == 40
    (checkout / "src" / "one.py").write_text("ONE = 2\n")
    assert code.commit() == clean + code.DIRTY
    assert code.digest() != digest
    git(checkout, "checkout", ".")
    assert (code.commit(), code.digest()) == (clean, digest)


def test_the_digest_sees_names_and_only_what_makes_a_model(checkout: Path) -> None:
    digest = code.digest()
    (checkout / "README.md").write_text("words")
    assert code.digest() == digest
    (checkout / "src" / "one.py").rename(checkout / "src" / "two.py")
    assert code.digest() != digest
    assert code.digest(checkout) == code.digest()


def test_the_lock_has_a_digest_of_its_own(checkout: Path) -> None:
    before = code.lock_digest()
    (checkout / "requirements.lock").write_text("numpy==3\n")
    assert code.lock_digest() != before
