"""Webhooks: which hook wants what, the delivery with GitLab's headers, and hooks that are switched off for failing."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp

from sandbox.gitlab.clock import now, written
from sandbox.gitlab.refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.gitlab.store import Row, Store

# GitLab's limits (app/models/concerns/web_hooks/auto_disabling.rb): off for a while after the fourth failure in a
# row, a minute and twice as long each time up to a day, for good after the fortieth. An answer has ten seconds.
FAILURES_BEFORE_PAUSE, FAILURES_BEFORE_END = 4, 40
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 86_400.0
ANSWER_SECONDS = 10.0
USER_AGENT = "GitLab/18.2.0"
EVENTS_KEPT = 200
SECRET = "[REDACTED]"  # noqa: S105 - what stands in place of one
NAMES = {
    "push_events": "Push Hook",
    "tag_push_events": "Tag Push Hook",
    "merge_requests_events": "Merge Request Hook",
    "note_events": "Note Hook",
    "job_events": "Job Hook",
    "pipeline_events": "Pipeline Hook",
}


@dataclass(frozen=True)
class Hook:
    """One hook of a project."""

    row: Row

    @property
    def alert_status(self) -> str:
        """`executable`, `temporarily_disabled`, or `disabled` for good."""
        if self.row["recent_failures"] >= FAILURES_BEFORE_END:
            return "disabled"
        until = self.row.get("disabled_until")
        paused = until is not None and datetime.fromisoformat(until).timestamp() > time.time()
        return "temporarily_disabled" if paused else "executable"

    def wants(self, trigger: str, branch: str | None = None) -> bool:
        """Whether an event of this kind (of a push, to this branch) is sent to it now."""
        only = self.row.get("push_events_branch_filter")
        if branch is not None and only and not fnmatchcase(branch, only):
            return False
        return bool(self.row.get(trigger)) and self.alert_status == "executable"


@dataclass(frozen=True)
class Delivery:
    """One event for one hook; the idempotency key stays the same when it is sent again."""

    hook_id: int
    trigger: str
    payload: Mapping[str, Any]
    idempotency_key: str
    event_uuid: str


class Hooks:
    """All hooks and what is under way to them: one event after the other for each hook."""

    def __init__(self, store: Store, instance: str) -> None:
        """`instance` is GitLab's own address, which every delivery names."""
        self._store = store
        self._instance = instance
        self._queues: dict[int, asyncio.Queue[Delivery]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End what is under way; what was not delivered yet is lost, as with a GitLab that is switched off."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def add(self, project: Row, given: Mapping[str, Any]) -> Hook:
        """A new hook; Refused where its URL is none. Push events are on unless told otherwise, as on GitLab."""
        row: Row = {"push_events": True, "name": None, "description": None, "enable_ssl_verification": True, **given}
        row |= {"project_id": project["id"], "created_at": now(), "recent_failures": 0, "disabled_until": None}
        _check_url(row["url"])
        return Hook(self._store.add("hook", row, project=project["id"]))

    def update(self, hook: Hook, given: Mapping[str, Any]) -> Hook:
        """The hook with what was given; a new URL is a new chance."""
        changes = dict(given)
        if "url" in changes:
            _check_url(changes["url"])
            changes |= {"recent_failures": 0, "disabled_until": None}
        return Hook(self._store.update("hook", hook.row["id"], **changes))

    def remove(self, hook: Hook) -> None:
        """Forget a hook and what was sent to it."""
        if task := self._tasks.pop(hook.row["id"], None):
            task.cancel()
        for event in self.events(hook):
            self._store.remove("hook_event", event["id"])
        self._store.remove("hook", hook.row["id"])

    def of(self, project_id: int) -> list[Hook]:
        """The hooks of a project, oldest first."""
        return [Hook(row) for row in reversed(self._store.list("hook", project=project_id))]

    def events(self, hook: Hook) -> list[Row]:
        """What was sent to a hook and what it answered, newest first."""
        return self._store.where("hook_event", "hook_id", hook.row["id"])

    def fire(self, project_id: int, trigger: str, payload: Mapping[str, Any], branch: str | None = None) -> None:
        """Send an event to every hook of the project that wants it; returns at once."""
        event_uuid = str(uuid4())
        for hook in self.of(project_id):
            if hook.wants(trigger, branch):
                self._enqueue(Delivery(hook.row["id"], trigger, payload, str(uuid4()), event_uuid))

    async def test(self, hook: Hook, trigger: str, payload: Mapping[str, Any]) -> Row:
        """Send one event now, whatever the hook wants; what came of it."""
        return await self._deliver(hook, Delivery(hook.row["id"], trigger, payload, str(uuid4()), str(uuid4())))

    async def resend(self, hook: Hook, event: Row) -> Row:
        """Send a past event again under its idempotency key; what came of it."""
        headers = event["request_headers"]
        keys = headers["Idempotency-Key"], headers["X-Gitlab-Event-UUID"]
        return await self._deliver(hook, Delivery(hook.row["id"], event["trigger"], event["request_data"], *keys))

    def _enqueue(self, delivery: Delivery) -> None:
        key = delivery.hook_id
        self._queues.setdefault(key, asyncio.Queue()).put_nowait(delivery)
        if key not in self._tasks or self._tasks[key].done():
            self._tasks[key] = asyncio.create_task(self._work(key))

    async def _work(self, key: int) -> None:
        """Deliver what waits for one hook, in order, until nothing waits any more."""
        queue = self._queues[key]
        while not queue.empty():
            delivery = queue.get_nowait()
            row = self._store.get("hook", key)
            if row is not None and Hook(row).alert_status == "executable":
                await self._deliver(Hook(row), delivery)

    async def _deliver(self, hook: Hook, delivery: Delivery) -> Row:
        headers = self._headers(hook, delivery)
        began = time.monotonic()
        status, words = await self._post(hook, headers, delivery)
        seconds = round(time.monotonic() - began, 3)
        self._count(hook, failed=not status.startswith("2"))
        shown = {**headers, "X-Gitlab-Token": SECRET} if "X-Gitlab-Token" in headers else headers
        event: Row = {"hook_id": hook.row["id"], "url": hook.row["url"], "trigger": delivery.trigger}
        event |= {"request_headers": shown, "request_data": delivery.payload, "response_status": status}
        event |= {"response_body": words, "execution_duration": seconds, "created_at": now()}
        made = self._store.add("hook_event", event, project=hook.row["project_id"])
        for old in self.events(hook)[EVENTS_KEPT:]:
            self._store.remove("hook_event", old["id"])
        return made

    def _headers(self, hook: Hook, delivery: Delivery) -> dict[str, str]:
        custom = {one["key"]: one["value"] for one in hook.row.get("custom_headers") or []}
        token = hook.row.get("token")
        return {
            **custom,
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Idempotency-Key": delivery.idempotency_key,
            "X-Gitlab-Event": NAMES[delivery.trigger],
            "X-Gitlab-Webhook-UUID": str(uuid4()),
            "X-Gitlab-Instance": self._instance,
            "X-Gitlab-Event-UUID": delivery.event_uuid,
            **({"X-Gitlab-Token": token} if token else {}),
        }

    async def _post(self, hook: Hook, headers: Mapping[str, str], delivery: Delivery) -> tuple[str, str]:
        """The status as text, `internal error` where there was no answer; and the beginning of what was said."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS))
        ssl = bool(hook.row["enable_ssl_verification"])
        body = json.dumps(delivery.payload).encode()
        try:
            url = hook.row["url"]
            async with self._session.post(url, data=body, headers=headers, ssl=ssl, allow_redirects=False) as answer:
                return str(answer.status), (await answer.content.read(8192)).decode(errors="replace")
        except TimeoutError:
            return "internal error", "Net::ReadTimeout"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return "internal error", str(error)

    def _count(self, hook: Hook, *, failed: bool) -> None:
        """One more failure in a row, or none; the hook pauses where there were too many."""
        key = hook.row["id"]
        with suppress(KeyError):  # the hook may have been removed while it was asked
            row = self._store.get("hook", key) or hook.row
            failures = row["recent_failures"] + 1 if failed else 0
            pauses = failures - FAILURES_BEFORE_PAUSE
            pause = min(FIRST_PAUSE * 2 ** max(0, pauses), LONGEST_PAUSE)
            until = written(datetime.now(UTC).timestamp() + pause) if pauses >= 0 else None
            self._store.update("hook", key, recent_failures=failures, disabled_until=until)


def _check_url(url: Any) -> None:
    if not str(url).startswith(("http://", "https://")):
        raise Refused({"url": ["is blocked: Only allowed schemes are http, https"]}, 422)
