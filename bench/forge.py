"""A GitLab in memory for measurements: thousands of pipelines that run for a while, and webhooks when they move.

It answers what the monitor asks in GitLab's shapes and counts every request; it costs little, so that what is measured
is greenrun.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

JOBS = ("compile", "build", "test", "sast", "quality", "security", "push", "notify_success", "notify_failure", "learn")
MOVES = (("pending", 0.0), ("running", 0.05), ("success", 1.0))


@dataclass
class Pipeline:
    """One pipeline; `moved` is when its status changed last, in seconds of the clock that `time.time` shows."""

    id: int
    project: int
    sha: str
    seconds: float
    status: str = "created"
    moved: float = 0.0

    def document(self, url: str) -> dict[str, Any]:
        """As the API shows it."""
        at = datetime.fromtimestamp(self.moved, UTC).isoformat()
        where = f"{url}/group/p{self.project}/-/pipelines/{self.id}"
        shown = {
            "id": self.id,
            "iid": 1,
            "project_id": self.project,
            "sha": self.sha,
            "ref": "b",
            "status": self.status,
        }
        return {
            **shown,
            "source": "push",
            "updated_at": at,
            "web_url": where,
            "yaml_errors": None,
            "duration": self.seconds,
        }


@dataclass
class Forge:
    """All pipelines, by project, and what was asked."""

    hook: tuple[str, str] | None = None
    url: str = ""
    pipelines: dict[int, list[Pipeline]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)

    def add(self, pipeline: Pipeline) -> None:
        """It is there and does not run yet."""
        self.pipelines.setdefault(pipeline.project, []).insert(0, pipeline)

    async def run(self, pipeline: Pipeline, session: aiohttp.ClientSession) -> None:
        """Move it to its end in its own time, and tell the hook of every move."""
        began = time.monotonic()
        for status, share in MOVES:
            await asyncio.sleep(max(0.0, began + share * pipeline.seconds - time.monotonic()))
            pipeline.status, pipeline.moved = status, time.time()
            if self.hook:
                await self._tell(pipeline, session, *self.hook)

    async def _tell(self, pipeline: Pipeline, session: aiohttp.ClientSession, url: str, secret: str) -> None:
        about = {"id": pipeline.id, "sha": pipeline.sha, "status": pipeline.status}
        body = {"object_kind": "pipeline", "object_attributes": about, "project": {"id": pipeline.project}}
        headers = {"X-Gitlab-Event": "Pipeline Hook", "X-Gitlab-Token": secret, "Idempotency-Key": str(uuid4())}
        async with session.post(url, json=body, headers=headers) as answer:
            answer.raise_for_status()

    async def listed(self, request: web.Request) -> web.Response:
        """The pipelines of a project, of one commit or of all."""
        self.asked["list"] += 1
        found = self.pipelines.get(int(request.match_info["project"]), [])
        sha = request.query.get("sha")
        size, page = int(request.query.get("per_page", 20)), int(request.query.get("page", 1))
        rows = [one.document(self.url) for one in found if sha in (None, one.sha)]
        return web.json_response(rows[(page - 1) * size : page * size])

    async def one(self, request: web.Request) -> web.Response:
        """One pipeline."""
        self.asked["pipeline"] += 1
        return web.json_response(self._named(request).document(self.url))

    async def jobs(self, request: web.Request) -> web.Response:
        """Its ten jobs."""
        self.asked["jobs"] += 1
        of = self._named(request)
        common = {"allow_failure": False, "web_url": f"{self.url}/j", "tag_list": [], "coverage": None, "duration": 1.0}
        ended = of.status == "success"
        statuses = dict.fromkeys(JOBS, "success" if ended else "running")
        statuses["notify_failure"] = "skipped" if ended else "created"
        rows = [
            {**common, "id": of.id * 100 + n, "name": name, "stage": name, "status": statuses[name]}
            for n, name in enumerate(JOBS)
        ]
        return web.json_response(rows)

    def _named(self, request: web.Request) -> Pipeline:
        found = self.pipelines[int(request.match_info["project"])]
        return next(one for one in found if one.id == int(request.match_info["pipeline"]))


@asynccontextmanager
async def serve() -> AsyncIterator[Forge]:
    """The GitLab, listening."""
    forge = Forge()
    app = web.Application()
    base = r"/api/v4/projects/{project:\d+}/pipelines"
    app.router.add_get(base, forge.listed)
    app.router.add_get(base + r"/{pipeline:\d+}", forge.one)
    app.router.add_get(base + r"/{pipeline:\d+}/jobs", forge.jobs)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        forge.url = f"http://{host}:{port}"
        yield forge
    finally:
        await runner.cleanup()
