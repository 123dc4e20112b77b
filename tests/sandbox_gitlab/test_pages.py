"""The pages behind the API's links: there, readable without a script, and nothing of a repository becomes markup."""

from __future__ import annotations

import re
from typing import Any

import gitlab
import httpx
import pytest

from sandbox.gitlab import executor_trace as trace
from sandbox.gitlab.trace_html import rendered

from .conftest import PIPELINE, Sandbox

EVIL = "<script>alert('x')</script>"


async def read(sandbox: Sandbox, path: str, status: int = 200) -> str:
    """A page, without a token."""
    async with httpx.AsyncClient(base_url=sandbox.server.url, timeout=10) as client:
        answer = await client.get(path)
    assert answer.status_code == status, path
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    return answer.text


async def test_every_link_of_the_api_leads_to_a_page(sandbox: Sandbox) -> None:
    """Project, pipeline, job, commit, branch, merge request, user, group; and files."""
    files = {"src/a.py": b"a\n", ".gitlab-ci.yml": PIPELINE.encode()}
    await sandbox.server.create_project("g/p", files=files)

    def work(api: gitlab.Gitlab) -> list[str]:
        project = api.projects.get("g/p")
        action = {"action": "update", "file_path": "src/a.py", "content": "b\n"}
        body = {"branch": "feature/x", "start_branch": "main", "commit_message": "m", "actions": [action]}
        commit = project.commits.create(body)
        fields = {"source_branch": "feature/x", "target_branch": "main", "title": "t", "description": "d"}
        merge_request = project.mergerequests.create(fields)
        merge_request.notes.create({"body": "a comment"})
        pipeline = project.pipelines.list(sha=commit.id, get_all=False)[0]
        job = project.pipelines.get(pipeline.id).jobs.list(get_all=False)[0]
        api.auth()
        compared: Any = project.repository_compare("main", "feature/x")
        named = [project, commit, merge_request, pipeline, job, project.branches.get("feature/x")]
        links = [one.web_url for one in named]
        return [*links, api.groups.get("g").web_url, api.user.web_url if api.user else "", compared["web_url"]]

    links = [link.removeprefix(sandbox.server.url) for link in await sandbox.client(work)]
    texts = {link: await read(sandbox, link) for link in links}
    merge_request = next(text for link, text in texts.items() if "merge_requests" in link)
    assert re.search(r'class="add">\+b', merge_request)
    assert "a comment" in merge_request
    for path in ("/", "/g/p/-/pipelines", "/g/p/-/merge_requests", "/g/p/-/commits/main", "/g/p/-/tree/feature/x/src"):
        await read(sandbox, path)
    assert "b\n" in await read(sandbox, "/g/p/-/blob/feature/x/src/a.py")
    assert "404 Pipeline Not Found" in await read(sandbox, "/g/p/-/pipelines/999", 404)
    await read(sandbox, "/nobody/nothing", 404)


async def test_nothing_of_a_repository_becomes_markup(sandbox: Sandbox) -> None:
    """Names of jobs and files, messages, traces and errors are text on every page."""
    text = f'"{EVIL}": {{stage: test, script: ["echo {EVIL}"]}}\n'
    await sandbox.server.create_project("g/p", files={"a.html": EVIL.encode()})
    broken = f"stages: ['{EVIL[:7]}s>']\nx: {{stage: '{EVIL[:8]}', script: [x]}}\n"

    def work(api: gitlab.Gitlab) -> None:
        project = api.projects.get("g/p")
        for kind, content in (("create", text.replace("'x'", "1")), ("update", broken)):
            action = {"action": kind, "file_path": ".gitlab-ci.yml", "content": content}
            project.commits.create({"branch": "main", "commit_message": EVIL, "actions": [action]})
        body = {"source_branch": "f", "target_branch": "main", "title": EVIL, "description": EVIL}
        project.branches.create({"branch": "f", "ref": "main"})
        project.mergerequests.create(body).notes.create({"body": EVIL})

    await sandbox.client(work)
    async with sandbox.quiet():
        paths = ["/", "/g/p", "/g/p/-/pipelines", "/g/p/-/merge_requests/1", "/g/p/-/commits/main"]
        paths += ["/g/p/-/blob/main/a.html", "/g/p/-/blob/main/.gitlab-ci.yml"]
        forge = sandbox.server.forge
        paths += [f"/g/p/-/pipelines/{row['id']}" for row in forge.store.list("pipeline")]
        paths += [f"/g/p/-/jobs/{row['id']}" for row in forge.store.list("job")]
        paths += [f"/g/p/-/commit/{row['sha']}" for row in forge.store.list("pipeline")]
        for path in paths:
            page = await read(sandbox, path)
            assert page.lower().count("<script") == 1, path
    assert "&lt;script" in await read(sandbox, "/g/p/-/merge_requests/1")


async def test_what_runs_is_asked_for_again_until_it_is_over(sandbox: Sandbox) -> None:
    """A page of something that runs names the part to ask for; the answer says when it is the last."""
    await sandbox.server.create_project("g/p", files={".gitlab-ci.yml": PIPELINE.encode()})
    forge = sandbox.server.forge
    async with sandbox.quiet():
        key, job = forge.store.list("pipeline")[0]["id"], forge.store.list("job")[0]["id"]
        async with httpx.AsyncClient(base_url=sandbox.server.url) as client:
            over = await client.get(f"/g/p/-/pipelines/{key}?part=1")
            assert (over.headers.get("X-Over"), "<html" in over.text) == ("1", False)
            assert "data-live" not in (await client.get(f"/g/p/-/pipelines/{key}")).text
            forge.store.update("pipeline", key, status="running")
            forge.store.update("job", job, status="running")
            for path in (f"/g/p/-/pipelines/{key}", f"/g/p/-/jobs/{job}", "/g/p/-/pipelines"):
                assert 'data-live="?part=1"' in (await client.get(path)).text
                assert "X-Over" not in (await client.get(f"{path}?part=1")).headers
            forge.store.append_trace(job, "a further line\n")
            assert "a further line" in (await client.get(f"/g/p/-/jobs/{job}?part=1")).text
            assert (await client.get(f"/g/p/-/jobs/{job}/raw")).text.endswith("a further line\n")
            for name in ("style.css", "live.js"):
                assert (await client.get(f"/-/static/{name}")).status_code == 200
            assert (await client.get("/-/static/base.html")).status_code == 404


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("a\x1b[31;1mred\x1b[0;m b", '<span class="red bold">red</span> b'),
        ("10%\r20%\r100%\n", "<span class=l>100%\n</span>"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("\x1b[38;5;9mx\x1b[2K\x1b(B", "x"),
        (trace.section("s", "Title", "line\n"), "<details open><summary><span class=l>"),
    ],
)
def test_a_trace_is_text_with_colours_and_sections(text: str, markup: str) -> None:
    """ANSI becomes classes, overwritten lines show their last state, everything else is escaped."""
    assert markup in rendered(text)


def test_sections_without_an_end_and_ends_without_a_beginning_do_no_harm() -> None:
    """Every tag that is opened is closed."""
    odd = trace.begin("a", "A") + trace.end("b") + trace.begin("c", "C") + "x\n" + trace.end("a") + trace.end("a")
    page = rendered(odd + trace.begin("d", "D"))
    assert page.count("<details") == page.count("</details>") == 3
    assert page.count("<span") == page.count("</span>")
