"""Settings from the files of SECRETS_DIR: the environment comes first, and no error shows a value."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from services.monitor.settings import Settings
from shared.errors import Reject
from shared.settings import CommonSettings, GitLabSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that SECRETS_DIR names."""
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_file_is_a_setting_and_the_environment_comes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets and plain settings alike, without the line's end; an empty file sets nothing."""
    (folder / "gitlab_token").write_text("from-file\n")
    (folder / "monitor_interval").write_text("7\n")
    (folder / "nats_password").write_text("\n")
    settings = Settings()
    assert (settings.gitlab_token.get_secret_value(), settings.monitor_interval) == ("from-file", 7)
    assert settings.nats_password is None
    monkeypatch.setenv("GITLAB_TOKEN", "from-environment")
    assert GitLabSettings().gitlab_token.get_secret_value() == "from-environment"


def test_a_folder_that_is_not_there_is_no_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error and no warning: who sets everything by the environment needs none."""
    monkeypatch.setenv("SECRETS_DIR", str(folder / "none"))
    assert CommonSettings().nats_password is None


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_named_without_its_content(folder: Path, content: bytes | None) -> None:
    """What, where and what to do; a folder in the place of a file is as little a secret as bytes that are no text."""
    path = folder / "gitlab_token"
    path.write_bytes(content) if content else path.mkdir()
    with pytest.raises(Reject, match="SECRETS_DIR") as caught:
        GitLabSettings()
    assert str(folder) in str(caught.value)


def test_a_service_with_a_wrong_file_ends_with_a_sentence_that_does_not_show_it(folder: Path) -> None:
    """The variable's name is said, the value is not, and the exit code is 1."""
    (folder / "ack_wait").write_text("s3cret-in-the-wrong-place")
    argv = [sys.executable, "-m", "services.seeder"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert "ACK_WAIT" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_the_address_of_nats_is_shown_without_the_password_in_it() -> None:
    """Of one server and of several."""
    settings = CommonSettings(nats_url="nats://u:p@one:4222,tls://two:4222,u:p@three")
    assert settings.nats_address == "nats://one:4222,tls://two:4222,three"
