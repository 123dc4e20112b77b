"""What changes a run: submit, cancel, retry. Everything that is done is an event that says who did it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from services.gateway import decide
from services.gateway.documents import Cancel, Retried, Retry
from services.gateway.problems import Refused
from services.gateway.state import CALLER, GATEWAY, history
from shared.errors import Retry as Later
from shared.events import RepoSubmitted, RunCancelled, new_run_id
from shared.history import fold
from shared.retry import plan as planned
from shared.topology import KEYS_BUCKET

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.events import Submission

SOURCE = "gateway"


async def submit(request: web.Request) -> web.Response:
    """202 with the run's id and links; the event is in the log before the answer is sent."""
    caller, bus = request[CALLER], request.app[GATEWAY].bus
    submission = decide.workflow_of(await request.read()).submission(caller.name)
    key = request.headers.get("Idempotency-Key")
    run_id = new_run_id() if key is None else await _run_of(bus, decide.key_of(caller.key, key), submission)
    # A key that was used before has its event in the log, or gets it now: whoever took it may have died in between.
    await bus.publish(RepoSubmitted(run_id=run_id, **submission.model_dump()), source=SOURCE, by=caller.name)
    answer = decide.accepted(run_id)
    return web.json_response(text=answer.model_dump_json(), status=202, headers={"Location": answer.links.self})


async def _run_of(bus: Bus, key: str, submission: Submission) -> str:
    """The run that this key stands for, from its first use on; Refused with 422 where it was another submission's."""
    run_id, digest = new_run_id(), decide.digest_of(submission)
    if await bus.keep(KEYS_BUCKET, key, {"run_id": run_id, "digest": digest}, first=True):
        return run_id
    first = await bus.kept(KEYS_BUCKET, key)
    if first is None:
        raise Later("the Idempotency-Key was given up just now")
    if first["digest"] != digest:
        raise Refused(
            422, f"this Idempotency-Key was used for another submission, run {first['run_id']}; take a new one"
        )
    return str(first["run_id"])


async def cancel(request: web.Request) -> web.Response:
    """The run, cancelled; 409 where it has ended already."""
    wanted = decide.body_of(Cancel, await request.read())
    run = fold(await history(request))
    if run.status not in {"running", "cancelled"}:
        raise Refused(409, f"the run has {run.status}; there is nothing to cancel")
    if run.status == "running":
        name = request[CALLER].name
        event = RunCancelled(run_id=run.run_id, attempt=run.attempt, cancelled_by=name, reason=wanted.reason)
        await request.app[GATEWAY].bus.publish(event, source=SOURCE, by=name)
    return web.json_response(fold(await history(request)).model_dump(mode="json"))


async def retry(request: web.Request) -> web.Response:
    """202 with the event that was published again; 409 where the run is in flight, or has gone on meanwhile."""
    wanted = decide.body_of(Retry, await request.read())
    plan = planned(await history(request), wanted.start, decide.options_of(wanted.options), now=datetime.now(UTC))
    await request.app[GATEWAY].bus.retry(plan, source=SOURCE, by=request[CALLER].name)
    event = plan.event
    links = decide.links_of(event.run_id)
    answer = Retried(run_id=event.run_id, attempt=event.attempt, event=event.subject, links=links)
    return web.json_response(text=answer.model_dump_json(), status=202, headers={"Location": links.self})
