"""The command finds the containers of its folder: published ports, and the operator's secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from greenrun import place, stack
from greenrun.exits import WrongCall
from tests.cli.test_wrong_calls import called, sentence

OPERATOR = {"nats_user": "operator", "nats_password": "secret"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stack with its secrets, in which nothing else is told to the command."""
    for name in [name for name in os.environ if name.startswith(("PUBLISH_", "GREENRUN_", "NATS_", "GITLAB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GREENRUN_HOME", str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "nats_password_operator").write_text("secret\n")
    return tmp_path


def test_a_stack_is_where_compose_publishes_it(folder: Path) -> None:
    """By default, and as .env says; what the environment says comes before the file, as for Compose."""
    assert place.values() == {"nats_url": "nats://127.0.0.1:4222", **OPERATOR}
    (folder / ".env").write_text("PUBLISH_NATS=127.0.0.1:5222\nGITLAB_URL=https://gitlab.example.com\n")
    assert place.values() == {
        "nats_url": "nats://127.0.0.1:5222",
        "gitlab_url": "https://gitlab.example.com",
        **OPERATOR,
    }


def test_the_sandbox_is_reached_by_its_published_port(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own name is known to containers alone."""
    (folder / "secrets" / "gitlab_token").write_text("glpat-x")
    monkeypatch.setenv("GITLAB_URL", "http://gitlab:8929")
    monkeypatch.setenv("PUBLISH_GITLAB", "127.0.0.1:9000")
    found = stack.values(folder)
    assert (found["gitlab_url"], found["gitlab_token"]) == ("http://127.0.0.1:9000", "glpat-x")


def test_the_operators_password_is_told_to_no_other_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names a server with NATS_URL says who they are themselves."""
    assert stack.is_here(folder)
    monkeypatch.setenv("NATS_URL", "nats://127.0.0.1:1")
    assert place.values() == {}


def test_without_secrets_there_is_no_stack(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says how they are made."""
    monkeypatch.setenv("GREENRUN_SECRETS", str(folder / "other"))
    assert place.values() == {}
    with pytest.raises(WrongCall, match="greenrun secrets init"):
        stack.values(folder)


def test_a_demo_without_containers_is_one_sentence(folder: Path) -> None:
    """It says how they are started; exit code 3, because they are not there."""
    (folder / ".env").write_text("PUBLISH_NATS=127.0.0.1:1\n")
    done = called(folder, "demo", "--compose")
    assert "docker compose --profile sandbox up --wait" in sentence(done, 3)
