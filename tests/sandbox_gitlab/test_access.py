"""Tokens and limits: what each may see and do, and 429 in all its forms."""

from __future__ import annotations

import email.utils

import gitlab
import httpx
import pytest
from gitlab.exceptions import GitlabAuthenticationError, GitlabCreateError, GitlabGetError

from .conftest import PIPELINE, TOKEN, Sandbox

COMMIT = {
    "branch": "main",
    "commit_message": "m",
    "actions": [{"action": "create", "file_path": "n.py", "content": ""}],
}


def push(api: gitlab.Gitlab) -> None:
    """A commit to g/p."""
    api.projects.get("g/p").commits.create(COMMIT)


async def test_scopes_and_projects_bound_a_token(sandbox: Sandbox) -> None:
    """read_api reads and 403 names the scope; a project's token sees no other project; a revoked one is told so."""
    own = await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})
    await sandbox.server.create_project("g/other", files={"a.py": b"a\n"})
    forge = sandbox.server.forge
    forge.add_token("reader", "glpat-reader", 30, scopes=["read_api"])
    forge.add_token("bot", "glpat-bot", 30, project=forge.project(str(own["id"])))
    with pytest.raises(GitlabCreateError, match="insufficient_scope") as refused:
        await sandbox.client(push, token="glpat-reader")
    assert refused.value.response_code == 403
    assert b'"scope": "api"' in (refused.value.response_body or b"")
    await sandbox.client(push, token="glpat-bot")
    with pytest.raises(GitlabGetError, match="404 Project Not Found"):
        await sandbox.client(lambda api: api.projects.get("g/other"), token="glpat-bot")
    seen = await sandbox.client(lambda api: [one.path for one in api.projects.list(get_all=True)], token="glpat-bot")
    assert seen == ["p"]
    forge.access.revoke("glpat-bot")
    with pytest.raises(GitlabAuthenticationError, match="invalid_token"):
        await sandbox.client(push, token="glpat-bot")


async def test_nobody_sees_what_is_public_and_nothing_else(sandbox: Sandbox) -> None:
    """Without a token: 404 for a private project, its own page for a public one, 401 for a change."""
    await sandbox.server.create_project("g/p", files={"a.py": b"a\n"})
    await sandbox.client(lambda api: api.projects.create({"name": "open", "visibility": "public"}))
    async with httpx.AsyncClient(base_url=f"{sandbox.server.url}/api/v4") as client:
        assert (await client.get("/projects/g%2Fp")).json() == {"message": "404 Project Not Found"}
        assert (await client.get("/projects/root%2Fopen")).json()["visibility"] == "public"
        assert [one["path"] for one in (await client.get("/projects")).json()] == ["open"]
        refused = await client.post("/projects/root%2Fopen/repository/commits", json=COMMIT)
        assert (refused.status_code, refused.json()) == (401, {"message": "401 Unauthorized"})
        assert (await client.get("/nothing")).json() == {"error": "404 Not Found"}
        bearer = await client.get("/user", headers={"Authorization": f"Bearer {TOKEN}"})
        assert bearer.json()["username"] == "root"


async def test_requests_are_limited_on_demand(sandbox: Sandbox) -> None:
    """The next two get 429: with seconds, with a date, and with no header at all; then all goes on."""
    async with httpx.AsyncClient(base_url=f"{sandbox.server.url}/api/v4", headers={"PRIVATE-TOKEN": TOKEN}) as client:

        async def limited(style: str) -> httpx.Response:
            await client.put("/sandbox/limit", json={"requests": 2, "retry_after": 7, "style": style})
            first, second, third = [await client.get("/version") for _ in range(3)]
            assert [one.status_code for one in (first, second, third)] == [429, 429, 200]
            assert (first.text, first.headers["Content-Type"]) == ("Retry later\n", "text/plain; charset=utf-8")
            return first

        assert (await limited("seconds")).headers["Retry-After"] == "7"
        dated = (await limited("date")).headers["Retry-After"]
        assert email.utils.parsedate_to_datetime(dated).tzinfo is not None
        bare = await limited("none")
        assert not [name for name in bare.headers if name.lower().startswith(("ratelimit", "retry"))]
        wrong = await client.put("/sandbox/limit", json={"requests": 2, "style": "odd"})
        assert wrong.status_code == 400


async def test_pages_carry_gitlabs_links(sandbox: Sandbox) -> None:
    """Link has first, last, prev and next with the other parameters kept and escaped; a wrong page is 400."""
    await sandbox.server.create_project("g/p", files={f"f{n}.py": b"" for n in range(7)})
    async with httpx.AsyncClient(headers={"PRIVATE-TOKEN": TOKEN}) as client:
        url = f"{sandbox.server.url}/api/v4/projects/g%2Fp/repository/tree"
        answer = await client.get(url, params={"per_page": 3, "page": 2, "ref": "main"})
        links = answer.links
        assert {rel: httpx.URL(link["url"]).params["page"] for rel, link in links.items()} == {
            "prev": "1",
            "next": "3",
            "first": "1",
            "last": "3",
        }
        assert httpx.URL(links["next"]["url"]).params["ref"] == "main"
        assert links["next"]["url"].startswith(url)
        assert answer.headers["X-Prev-Page"] == "1"
        assert (await client.get(url, params={"page": "x"})).json() == {"error": "page is invalid"}


async def test_a_job_token_is_good_while_its_job_runs(sandbox: Sandbox) -> None:
    """It says which job it is of and reads its project, and after the job it is nobody's."""
    await sandbox.server.create_project("g/p", files={".gitlab-ci.yml": PIPELINE.encode()})
    forge = sandbox.server.forge
    state = await sandbox.ended(1, (await forge.repository(forge.project("1")).branches())["main"])
    job = forge.store.get("job", state["jobs"]["one"].id) or {}
    async with httpx.AsyncClient(
        base_url=f"{sandbox.server.url}/api/v4", headers={"JOB-TOKEN": job["token"]}
    ) as client:
        assert (await client.get("/job")).status_code == 401
        forge.store.update("job", job["id"], status="running")
        assert (await client.get("/job")).json()["name"] == "one"
        assert (await client.get("/projects/g%2Fp")).status_code == 200
        assert (await client.post("/projects/g%2Fp/repository/commits", json=COMMIT)).status_code == 403
