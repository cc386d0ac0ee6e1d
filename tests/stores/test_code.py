import subprocess
from pathlib import Path

import pytest

from esteira.errors import MissingData
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


def test_a_commit_is_checked_out_beside_the_checkout_as_it_was(checkout: Path) -> None:
    git(checkout, "init")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-m", "one")
    first, digest = code.commit(), code.digest()
    (checkout / "src" / "one.py").write_text("ONE = 2\n")
    git(checkout, "commit", "-am", "two")
    with code.checked_out(first + code.DIRTY) as folder:
        assert (folder / "src" / "one.py").read_text() == "ONE = 1\n"
        assert code.digest(folder) == digest != code.digest()
    assert not folder.exists()
    assert (checkout / "src" / "one.py").read_text() == "ONE = 2\n"


@pytest.mark.parametrize("commit", ["0" * 40, code.NO_COMMIT])
def test_a_commit_that_is_not_here_is_said_to_be_missing(checkout: Path, commit: str) -> None:
    git(checkout, "init")
    with pytest.raises(MissingData, match="Fetch it into"), code.checked_out(commit):
        pass
