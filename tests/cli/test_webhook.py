"""`greenrun webhook install` against a GitLab that checks roles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from sandbox.gitlab.server import GitLabServer, serve
from tests.cli.test_cli import Cli, Done

TOKEN = "glpat-hooks"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitLabServer]:
    """The sandbox's GitLab with one project."""
    async with serve(data=tmp_path / "gitlab", token=TOKEN) as started:
        await started.create_project("shop/web", files={"README.md": b"shop"})
        yield started


async def install(home: Path, server: GitLabServer, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """Run the command with these variables."""
    known = {"GITLAB_URL": server.url, "GITLAB_TOKEN": TOKEN, "WEBHOOK_SECRET": "s3cret"}
    return await Cli(home)("webhook", "install", "shop/web", *arguments, env={**known, **(env or {})})


async def test_a_webhook_is_installed_once(tmp_path: Path, server: GitLabServer) -> None:
    """For pipeline events, with the secret; the second time it is brought up to date."""
    env = {"GATEWAY_URL": "http://gateway.example/"}
    first = await install(tmp_path, server, env=env)
    assert (first.code, first.err) == (0, "")
    assert "installed in shop/web: pipeline events go to http://gateway.example/api/v1/webhooks/gitlab" in first.out
    second = await install(tmp_path, server, env={**env, "WEBHOOK_SECRET": "another"})
    assert "updated in shop/web" in second.out
    [hook] = server.forge.store.list("hook")
    assert (hook["url"], hook["token"]) == ("http://gateway.example/api/v1/webhooks/gitlab", "another")
    assert (hook["pipeline_events"], hook["push_events"]) == (True, False)
    assert "another" not in second.out


async def test_a_role_that_is_too_low_is_said(tmp_path: Path, server: GitLabServer) -> None:
    """A Developer may commit, and may not register hooks."""
    server.forge.add_token("dev", "glpat-dev", 30)
    done = await install(tmp_path, server, "--url", "http://g", env={"GITLAB_TOKEN": "glpat-dev"})
    assert done.code == 1
    assert "role Maintainer" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("env", "words"),
    [({}, "set GATEWAY_URL (or PORTAL_URL)"), ({"PORTAL_URL": "http://p", "WEBHOOK_SECRET": ""}, "set WEBHOOK_SECRET")],
)
async def test_what_is_missing_is_a_wrong_call(
    tmp_path: Path, server: GitLabServer, env: dict[str, str], words: str
) -> None:
    """Nothing is asked of GitLab before it is known where the webhook leads, and by what it is believed."""
    done = await install(tmp_path, server, env=env)
    assert done.code == 2
    assert words in " ".join(done.err.split())
