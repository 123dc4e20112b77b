"""Webhooks: really delivered, with GitLab's headers and bodies, and switched off where nobody takes them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import gitlab
import pytest

from .conftest import PIPELINE, Receiver, Sandbox

SECRET = "whsec"


async def hooked(sandbox: Sandbox, receiver: Receiver, **events: Any) -> int:
    """A project with a hook for these events; the hook's id."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})

    def work(api: gitlab.Gitlab) -> int:
        fields = {"url": receiver.url, "token": SECRET, "push_events": False, **events}
        return int(api.projects.get("g/p").hooks.create(fields).id)

    return await sandbox.client(work)


async def pushed(sandbox: Sandbox, text: str = PIPELINE) -> dict[str, Any]:
    """The pipeline of a commit with this file, at its end."""

    def work(api: gitlab.Gitlab) -> tuple[int, str]:
        project = api.projects.get("g/p")
        action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": text}
        body = {"branch": "main", "commit_message": "ci", "actions": [action]}
        return project.id, project.commits.create(body).id

    return await sandbox.ended(*(await sandbox.client(work)))


async def test_pipeline_and_job_hooks_come_as_things_happen(sandbox: Sandbox, receiver: Receiver) -> None:
    """Every status in order, with the token, and bodies in GitLab's shape: a Job Hook's commit.id is the pipeline's."""
    await hooked(sandbox, receiver, pipeline_events=True, job_events=True)
    state = await pushed(sandbox)
    await receiver.until(lambda: "success" in receiver.statuses("pipeline"))
    assert receiver.statuses("pipeline") == ["created", "pending", "running", "success"]
    one = [body for _, body in receiver.got if body.get("build_name") == "one"]
    assert [body["build_status"] for body in one] == ["created", "pending", "running", "success"]
    assert {body["commit"]["id"] for body in one} == {state["pipeline"].id}
    assert (one[-1]["build_stage"], one[-1]["project_name"], one[-1]["build_failure_reason"]) == ("a", "g / p", None)
    headers, body = next((h, b) for h, b in reversed(receiver.got) if b["object_kind"] == "pipeline")
    attributes = body["object_attributes"]
    assert (attributes["sha"], attributes["stages"]) == (state["pipeline"].sha, ["a", "b"])
    assert attributes["url"] == state["pipeline"].web_url
    assert attributes["finished_at"].endswith(" UTC")
    assert {build["name"]: build["status"] for build in body["builds"]} == {"one": "success", "two": "success"}
    assert (body["commit"]["message"], body["project"]["path_with_namespace"]) == ("ci", "g/p")
    assert headers["X-Gitlab-Event"] == "Pipeline Hook"
    assert (headers["X-Gitlab-Token"], headers["X-Gitlab-Instance"]) == (SECRET, sandbox.server.url)
    assert len({h["Idempotency-Key"] for h, _ in receiver.got}) == len(receiver.got)
    assert all(h["X-Gitlab-Event-UUID"] and h["X-Gitlab-Webhook-UUID"] for h, _ in receiver.got)


async def test_the_same_shape_as_gitlabs_own(sandbox: Sandbox, receiver: Receiver) -> None:
    """What a receiver of the real GitLab reads is there: the keys of its documented bodies."""
    await hooked(sandbox, receiver, pipeline_events=True, job_events=True, push_events=True)
    await pushed(sandbox)
    await receiver.until(lambda: "success" in receiver.statuses("pipeline"))
    bodies = {body["object_kind"]: body for _, body in receiver.got}
    assert bodies["pipeline"].keys() >= {"object_attributes", "user", "project", "commit", "builds", "merge_request"}
    assert bodies["build"].keys() >= {"build_id", "build_status", "pipeline_id", "runner", "repository", "environment"}
    assert bodies["push"].keys() >= {"before", "after", "ref", "checkout_sha", "commits", "total_commits_count"}
    assert json.dumps(bodies).count(sandbox.server.token) == 0


async def test_four_failures_in_a_row_switch_a_hook_off(sandbox: Sandbox, receiver: Receiver) -> None:
    """Off for a minute; nothing more is sent; a new URL is a new chance."""
    hook = await hooked(sandbox, receiver, job_events=True)
    receiver.status = 500
    await pushed(sandbox)
    await receiver.until(lambda: len(receiver.got) >= 4)

    def status(api: gitlab.Gitlab) -> tuple[str, str | None]:
        found = api.projects.get("g/p").hooks.get(hook)
        return found.alert_status, found.disabled_until

    async with asyncio.timeout(5):
        while (await sandbox.client(status))[0] == "executable":
            await asyncio.sleep(0.02)
    told, until = await sandbox.client(status)
    assert told == "temporarily_disabled"
    assert until
    await sandbox.client(lambda api: api.projects.get("g/p").pipelines.create({"ref": "main"}))
    assert len(receiver.got) == 4
    receiver.status = 200
    await sandbox.client(lambda api: api.projects.get("g/p").hooks.update(hook, {"url": receiver.url}))
    assert (await sandbox.client(status)) == ("executable", None)


async def test_an_event_is_sent_again_under_its_key(sandbox: Sandbox, receiver: Receiver) -> None:
    """A redelivery has the same idempotency key, so that a receiver can tell; the token stays out of the log."""
    hook = await hooked(sandbox, receiver, pipeline_events=True)
    await pushed(sandbox)
    await receiver.until(lambda: "success" in receiver.statuses("pipeline"))

    def resend(api: gitlab.Gitlab) -> Any:
        path = f"/projects/g%2Fp/hooks/{hook}/events"
        events: Any = api.http_get(path)
        assert (events[0]["response_status"], events[0]["trigger"]) == ("200", "pipeline_events")
        assert events[0]["request_headers"]["X-Gitlab-Token"] == "[REDACTED]"
        return api.http_post(f"{path}/{events[0]['id']}/resend")

    await sandbox.client(resend)
    (first, body), (second, again) = receiver.got[-2:]
    assert (first["Idempotency-Key"], body) == (second["Idempotency-Key"], again)
    assert first["X-Gitlab-Webhook-UUID"] != second["X-Gitlab-Webhook-UUID"]


async def test_a_branch_filter_lets_only_its_branches_through(sandbox: Sandbox, receiver: Receiver) -> None:
    """Pushes to other branches are not sent; what is sent has the commits of the push."""
    await hooked(sandbox, receiver, push_events=True, push_events_branch_filter="feature/*")

    def push(api: gitlab.Gitlab) -> str:
        project = api.projects.get("g/p")
        for branch in ("other", "feature/x"):
            action = {"action": "create", "file_path": "n.py", "content": ""}
            body = {"branch": branch, "start_branch": "main", "commit_message": "m", "actions": [action]}
            made = project.commits.create(body)
        return str(made.id)

    sha = await sandbox.client(push)
    await receiver.until(lambda: bool(receiver.got))
    [(_, body)] = receiver.got
    assert (body["ref"], body["after"], body["commits"][-1]["id"]) == ("refs/heads/feature/x", sha, sha)


async def test_hooks_are_kept_changed_tried_and_removed(sandbox: Sandbox, receiver: Receiver) -> None:
    """The token is never told; a test event comes at once, 422 where nobody takes it; maintainers only."""
    hook = await hooked(sandbox, receiver, merge_requests_events=True)
    sandbox.server.forge.add_token("dev", "glpat-dev", 30)

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        found = project.hooks.get(hook)
        assert (found.url, found.merge_requests_events, found.push_events) == (receiver.url, True, False)
        assert "token" not in found.attributes
        found.job_events = True
        found.save()
        assert project.hooks.list(get_all=True)[0].job_events is True
        found.test("push_events")
        with pytest.raises(gitlab.GitlabHookTestError, match="Ensure the project has CI pipelines"):
            found.test("pipeline_events")
        with pytest.raises(gitlab.GitlabCreateError, match="Only allowed schemes are http, https"):
            project.hooks.create({"url": "file:///etc/passwd"})
        action = {"action": "update", "file_path": "a.py", "content": "b\n"}
        body = {"branch": "f", "start_branch": "main", "commit_message": "m", "actions": [action]}
        project.commits.create(body)
        project.mergerequests.create({"source_branch": "f", "target_branch": "main", "title": "t"})

    await sandbox.client(work)
    await receiver.until(lambda: len(receiver.got) == 2)
    assert [headers["X-Gitlab-Event"] for headers, _ in receiver.got] == ["Push Hook", "Merge Request Hook"]
    assert receiver.got[1][1]["object_attributes"]["action"] == "open"
    with pytest.raises(gitlab.GitlabListError, match="403"):
        await sandbox.client(lambda api: api.projects.get("g/p").hooks.list(get_all=True), token="glpat-dev")
    await sandbox.client(lambda api: api.projects.get("g/p").hooks.delete(hook))
    assert await sandbox.client(lambda api: api.projects.get("g/p").hooks.list(get_all=True)) == []
