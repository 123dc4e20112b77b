"""What one delivery ends in: ack, nak with a delay, or a dead letter with `run.failed` and term."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from shared.bus import IMPORTED, Undecodable, decode
from shared.ending import over
from shared.errors import Reject, Retry
from shared.events import Event, RepoSubmitted, RunFailed, Submission, adopted_run_id
from shared.heartbeat import Heartbeat
from shared.logging import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from nats.aio.msg import Msg

    from shared.bus import Bus
    from shared.service import Answer, Service
    from shared.settings import CommonSettings

log = logger("delivery")


def backoff(deliveries: int, *, base: float, cap: float) -> float:
    """Seconds before the next delivery: exponential in the deliveries so far, with full jitter (uniform from 0)."""
    return random.uniform(0, min(cap, base * 2 ** min(deliveries - 1, 32)))


class Deliveries:
    """Settles the deliveries of one service."""

    def __init__(self, bus: Bus, service: Service[Any, Any], settings: CommonSettings, deps: Any) -> None:
        """With the service's dependencies connected."""
        self._bus = bus
        self._service = service
        self._settings = settings
        self._deps = deps
        self._heartbeat = Heartbeat(bus, settings.ack_wait / 3)

    async def handle(self, msg: Msg) -> None:
        """One event of the service's own type."""
        await self._settle(msg, self._answer)

    async def adopt(self, msg: Msg) -> None:
        """A bare `repo.submitted` from any NATS client: it gets a run id, the same on every redelivery."""
        await self._settle(msg, self._adopted)

    async def _answer(self, msg: Msg) -> Sequence[Event]:
        event = _decoded(msg)
        if IMPORTED in (msg.headers or {}):
            return []
        if await self._bus.is_cancelled(event.run_id):
            return []
        answer: Answer = await self._service.handlers[type(event)](event, self._deps)
        if answer is None:
            return []
        return [answer] if isinstance(answer, Event) else answer

    async def _adopted(self, msg: Msg) -> Sequence[Event]:
        metadata = msg.metadata
        run_id = adopted_run_id(metadata.sequence.stream, metadata.timestamp)
        try:
            submission = Submission.model_validate_json(msg.data)
        except ValueError as error:
            raise Reject(f"the body is no submission such as {{'repo_url': 'https://…'}}: {error}") from error
        return [RepoSubmitted(run_id=run_id, **submission.model_dump())]

    async def _settle(self, msg: Msg, work: Callable[[Msg], Coroutine[Any, Any, Sequence[Event]]]) -> None:
        """Do the work and end the delivery; the events are in the log before the ack."""
        run_id, _ = _identity(msg.subject)
        with structlog.contextvars.bound_contextvars(run_id=run_id, event_id=msg.subject, service=self._service.name):
            try:
                self._refuse_the_exhausted(msg)
                for event in await self._unless_cancelled(msg, run_id, work(msg)):
                    await self._publish(event, msg)
                await msg.ack()
            except asyncio.CancelledError:
                # The service ends and gives back what it only waited for: another one has it at once.
                with suppress(Exception):
                    await msg.nak()
                raise
            except Reject as error:
                await self._bury(msg, error.reason, error.evidence)
            except Exception as error:  # noqa: BLE001 - whatever a handler raises, the event must not be lost
                await self._again(msg, error)

    def _refuse_the_exhausted(self, msg: Msg) -> None:
        """Before the handler: a process that dies with the event in hand raises nothing, and would die for ever."""
        if msg.metadata.num_delivered > self._settings.max_deliveries:
            raise Reject("deliveries are exhausted: the service died with this event in hand each time")

    async def _publish(self, event: Event, msg: Msg) -> None:
        if not await self._bus.publish(event, source=self._service.name, cause=msg.subject):
            log.info("already published", next=event.subject)

    async def _again(self, msg: Msg, error: Exception) -> None:
        """Give the delivery back with a delay, or bury it where it was the last."""
        deliveries = msg.metadata.num_delivered
        words = str(error) or type(error).__name__
        if deliveries >= self._settings.max_deliveries:
            await self._bury(msg, f"given up after {deliveries} deliveries: {words}", "")
            return
        after = error.after if isinstance(error, Retry) else None
        delay = backoff(deliveries, base=self._settings.retry_base, cap=self._settings.retry_cap)
        delay = delay if after is None else max(delay, after)
        unexpected = None if isinstance(error, Retry) else error
        log.warning("again later", reason=words, delay=round(delay, 2), deliveries=deliveries, exc_info=unexpected)
        # A delay of zero would be a plain nak, which comes back at once without any pause.
        await msg.nak(delay=max(delay, 0.01))

    async def _bury(self, msg: Msg, reason: str, evidence: str) -> None:
        """Dead letter, then `run.failed`, then term: nothing is lost wherever the process dies in between."""
        log.error("dead letter", reason=reason)
        await self._bus.dead_letter(self._service.name, msg, reason)
        run_id, attempt = _identity(msg.subject)
        if run_id is not None:
            failed = RunFailed(
                run_id=run_id, attempt=attempt, phase=self._service.name, reason=reason, evidence=evidence[:4000]
            )
            await self._publish(failed, msg)
        # term() takes no reason in nats-py; the protocol does, and the advisory then carries it.
        await msg.respond(f"+TERM {' '.join(reason.split())[:200]}".encode())

    async def _unless_cancelled(
        self, msg: Msg, run_id: str | None, work: Coroutine[Any, Any, Sequence[Event]]
    ) -> Sequence[Event]:
        """What the work returns; nothing where a person ends the run meanwhile, which ends the work as well."""
        with self._heartbeat.holding(msg, run_id) as cancelled:
            working = asyncio.create_task(work)
            either: set[asyncio.Future[Any]] = {working, cancelled}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return working.result()
                log.info("the run was cancelled; the work on it ends")
                return []
            finally:
                await over(working)


def _decoded(msg: Msg) -> Event:
    try:
        return decode(msg.subject, msg.data, msg.headers)
    except Undecodable as error:
        raise Reject(f"poison: {error}") from error


def _identity(subject: str) -> tuple[str | None, int]:
    """Run id and attempt of a subject; None where it is the bare intake."""
    tokens = subject.split(".")
    if len(tokens) == 4 and tokens[3].isdigit() and int(tokens[3]) > 0:  # noqa: PLR2004 - <type>.<run>.<attempt>
        return tokens[2], int(tokens[3])
    return None, 1
