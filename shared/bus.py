"""The log on NATS JetStream: publish, read, consume. It and its connection alone import nats."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig, DeliverPolicy, RawStreamMsg
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError, ObjectNotFoundError
from pydantic import ValidationError

from shared import leases, provision, snapshot, topology
from shared.connection import connected
from shared.dead_letters import SETTLED, letter_of, settled_of
from shared.errors import Conflict, Reject, Retry
from shared.events import EVENT_TYPES, BlobRef, Event, RepoSubmitted, RunCancelled, Submission, new_run_id
from shared.logging import logger
from shared.pull import PullLoop
from shared.telemetry import traceparent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from shared.connection import Admission
    from shared.dead_letters import DeadLetter, Settled
    from shared.errors import NotAdmitted
    from shared.provision import Change
    from shared.retry import Plan
    from shared.settings import CommonSettings

MAX_BODY = 256 * 1024
ALREADY_PUBLISHED = 10071
RIVAL_IN_FLIGHT = frozenset({10164, 10158})
PUBLISH_SECONDS = 20.0
IDLE_SECONDS = 1.0
# In the headers of what happened elsewhere.
IMPORTED = "ce-imported"
log = logger("bus")


@dataclass(frozen=True)
class Recorded:
    """An event in the log: its place in the stream, when it was stored, who said it, and because of which event.

    `by` is the person on whose word a program said it; None where no person did. What is `imported` happened elsewhere:
    it is shown, and nobody acts on it.
    """

    event: Event
    sequence: int
    time: datetime
    subject: str
    source: str
    cause: str | None
    by: str | None = None
    imported: bool = False

    @property
    def again(self) -> bool:
        """Whether it is an earlier event of the run that a person had published again."""
        return self.cause is not None and self.cause.startswith(f"{self.event.type}.{self.event.run_id}.")


class Undecodable(ValueError):  # noqa: N818 - what the message is
    """The message is no event that this version knows."""


class Bus:
    """A connection to the log. Use `Bus.connect`."""

    def __init__(self, client: Client, admission: Admission, settings: CommonSettings) -> None:
        """Over a connected client."""
        self._client = client
        self._admission = admission
        self._settings = settings
        self._js: JetStreamContext = client.jetstream(timeout=5)
        self._turns = leases.LocalLeases()
        self._holder = new_run_id().encode()
        self._pulling: set[PullLoop] = set()
        self._connected_at = monotonic()

    @classmethod
    @asynccontextmanager
    async def connect(cls, settings: CommonSettings, name: str) -> AsyncIterator[Self]:
        """A connection that waits for NATS to come up and reconnects for ever; NotAdmitted where it is not let in."""
        client, admission = await connected(settings, name)
        try:
            yield cls(client, admission, settings)
        finally:
            with suppress(NatsError, ConnectionError, TimeoutError):
                await client.flush(timeout=2)
            with suppress(ConnectionError):
                await client.close()

    async def shut_out(self) -> NotAdmitted:
        """Return why, once the server has ended this program's welcome; nothing can be done over the bus any more."""
        return await self._admission.shut_out()

    # Provisioning

    async def provision(self) -> list[str]:
        """Create the streams, consumers and the bucket, and apply what changed in their configuration; says what."""
        return await provision.apply(self._request, ack_wait=self._settings.ack_wait, kept=self._kept)

    async def unlike(self) -> list[Change]:
        """What `provision` would do, and what of it it would refuse."""
        return await provision.compare(self._request, ack_wait=self._settings.ack_wait, kept=self._kept)

    @property
    def _kept(self) -> topology.Kept:
        said = self._settings
        return topology.Kept(said.nats_replicas, said.nats_max_age_days, said.nats_max_bytes, said.nats_blobs_max_bytes)

    async def provisioned(self) -> list[str]:
        """What is missing, each as a sentence; empty where everything is there."""
        return await provision.missing(self._request)

    async def ask(self, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """JetStream's answer to a request of its API, such as `STREAM.INFO.EVENTS`; its `error` is the caller's."""
        answer = await self._request(f"$JS.API.{what}", json.dumps(body).encode() if body else b"")
        found: dict[str, Any] = json.loads(answer)
        return found

    async def _request(self, subject: str, body: bytes) -> bytes:
        """The answer to one request of JetStream's API."""
        try:
            return (await self._client.request(subject, body, timeout=5)).data
        except (NatsError, ConnectionError) as error:
            said = f"JetStream does not answer: {error or type(error).__name__}"
            raise Retry(self._admission.refusal(subject) or said) from error

    # Publishing

    async def submit(self, submission: Submission, source: str, *, by: str | None = None) -> RepoSubmitted:
        """Start a run: `repo.submitted` under a new run id, in the log when this returns."""
        event = RepoSubmitted(run_id=new_run_id(), **submission.model_dump())
        if not await self.publish(event, source=source, by=by):
            raise Conflict(f"{event.subject} exists already")
        return event

    async def publish(self, event: Event, *, source: str, cause: str | None = None, by: str | None = None) -> bool:
        """Store an event; True where it is new, False where its subject holds one already.

        Raises Reject where the body is over 256 KB or the server refuses it, Retry where it does not answer in time.
        Asking again is safe: both guards (expected last sequence 0, message id) let one of several copies through.
        """
        return await self._insist(event.subject, _body(event), envelope(event, source, cause, by))

    async def retry(self, plan: Plan, *, source: str, by: str | None) -> None:
        """Store what is planned (`shared.retry`); Conflict where the run has gone on since it was read."""
        event, body = plan.event, _body(plan.event)
        guards = {
            "Nats-Expected-Last-Subject-Sequence": str(plan.after),
            "Nats-Expected-Last-Subject-Sequence-Subject": f"*.*.{event.run_id}.*",
        }
        if await self._insist(event.subject, body, envelope(event, source, plan.cause, by) | guards):
            return
        # An offer that went unanswered may have been stored after all.
        last = await self._last(topology.EVENTS_STREAM, event.subject)
        if last is None or last.data != body or (last.headers or {}).get("ce-by") != by:
            raise Conflict(f"run {event.run_id} has gone on meanwhile; look at it with: greenrun show {event.run_id}")

    async def bring(self, event: Event, *, source: str, cause: str | None, by: str | None, time: datetime) -> bool:
        """Store an event that happened elsewhere, at that time; no service acts on it. True where it is new."""
        headers = envelope(event, source, cause, by) | {"ce-time": time.isoformat(), IMPORTED: "true"}
        return await self._insist(event.subject, _body(event), headers)

    async def _insist(self, subject: str, body: bytes, headers: Mapping[str, str]) -> bool:
        """Offer until the answer is known: True stored, False was there. Retry where it is not known in time."""
        deadline = asyncio.get_running_loop().time() + PUBLISH_SECONDS
        while True:
            stored = await self._offer(subject, body, headers)
            if stored is not None:
                return stored
            if refusal := self._admission.refusal(subject):
                raise Retry(refusal)
            if asyncio.get_running_loop().time() > deadline:
                raise Retry(f"NATS did not take {subject} within {PUBLISH_SECONDS:.0f} s")
            await asyncio.sleep(0.05)

    async def _offer(self, subject: str, body: bytes, headers: Mapping[str, str]) -> bool | None:
        """One guarded publish: True stored, False was there, None unknown (ask again)."""
        try:
            ack = await self._js.publish(subject, body, headers=dict(headers), timeout=5)
        except APIError as error:
            if error.err_code == ALREADY_PUBLISHED:
                return False
            if error.err_code in RIVAL_IN_FLIGHT or (error.code or 0) >= 500:  # noqa: PLR2004 - a server's fault
                return None
            raise Reject(f"NATS refuses {subject}: {error.description}") from error
        except (NatsTimeoutError, NoStreamResponseError, NatsError, ConnectionError):
            return None
        return not ack.duplicate

    async def dead_letter(self, service: str, msg: Msg, reason: str) -> None:
        """Keep a delivery that is given up, with the reason in its headers; once per service and message."""
        sequence = msg.metadata.sequence.stream
        subject = f"dlq.{service}.{sequence}"
        headers = {
            "Nats-Expected-Last-Subject-Sequence": "0",
            "Nats-Msg-Id": subject,
            "greenrun-subject": msg.subject,
            "greenrun-reason": " ".join(reason.split())[:1000],
        }
        await self._insist(subject, msg.data, headers)

    async def dead_letters(self) -> list[DeadLetter]:
        """All dead letters, oldest first, with what became of them."""
        letters: dict[str, DeadLetter] = {}
        async for raw in self._read(topology.DLQ_STREAM, ["dlq.>"]):
            subject, headers, time = raw.subject or "", raw.headers or {}, raw.time or datetime.now(UTC)
            about = subject.removesuffix(f".{SETTLED}")
            if about == subject:
                letters[subject] = letter_of(subject, raw.data or b"", headers, time)
            elif about in letters:
                letters[about] = replace(letters[about], settled=settled_of(headers, time))
        return list(letters.values())

    async def settle(self, letter: DeadLetter, settled: Settled) -> None:
        """Store what became of a letter; Conflict where that was said before."""
        subject = f"{letter.stored_as}.{SETTLED}"
        guards = {"Nats-Expected-Last-Subject-Sequence": "0", "Nats-Msg-Id": subject}
        if not await self._insist(subject, b"", settled.headers() | guards):
            raise Conflict(f"{letter.id} was settled meanwhile; list them with: greenrun dlq list --all")

    async def stored_at(self, sequence: int) -> datetime | None:
        """When the log stored the message at this place; None where it is no longer there."""
        try:
            return (await self._js.get_msg(topology.EVENTS_STREAM, sequence, direct=True)).time
        except NotFoundError:
            return None
        except (NatsError, ConnectionError) as error:
            raise Retry(f"NATS does not answer: {error or type(error).__name__}") from error

    async def tell(self, subject: str, what: Mapping[str, Any]) -> None:
        """Say something to whoever listens now (`nats sub`); it is in no stream, and lost where nobody does."""
        with suppress(NatsError, ConnectionError):
            await self._client.publish(subject, json.dumps(what).encode())

    @asynccontextmanager
    async def listen(self, subject: str, heard: Callable[[Mapping[str, Any]], None]) -> AsyncIterator[None]:
        """Hand what is told on the subject from now on to `heard`; what is no JSON object is passed over."""

        async def on(msg: Msg) -> None:
            with suppress(ValueError):
                said = json.loads(msg.data)
                if isinstance(said, dict):
                    heard(said)

        subscription = await self._client.subscribe(subject, cb=on)
        try:
            yield
        finally:
            with suppress(NatsError, ConnectionError):
                await subscription.unsubscribe()

    # Reading

    async def history(self, run_id: str) -> list[Recorded]:
        """The events of one run in the order of the log; empty where there is no such run."""
        return [recorded async for recorded in self.read(run_id=run_id)]

    async def all_events(self) -> list[Recorded]:
        """The whole log up to now."""
        return [recorded async for recorded in self.read()]

    async def read(
        self, *, run_id: str = "*", types: Sequence[type[Event]] = (), since: datetime | None = None
    ) -> AsyncGenerator[Recorded, None]:
        """The events of these types (none: all) up to now, from a time on."""
        async for raw in self._read(topology.EVENTS_STREAM, _subjects(run_id, types), since or 1):
            for recorded in _recorded(raw):
                yield recorded

    async def audited(self) -> AsyncIterator[tuple[str, int, list[Recorded]]]:
        """All that lies in the log's stream up to now: subject, sequence, and the event, none where it is no event."""
        async for raw in self._read(topology.EVENTS_STREAM, [">"]):
            yield raw.subject or "", raw.seq or 0, _recorded(raw)

    async def tail(
        self,
        *,
        run_id: str = "*",
        types: Sequence[type[Event]] = (),
        from_sequence: int = 1,
        since: datetime | None = None,
    ) -> AsyncGenerator[Recorded, None]:
        """Events as they are stored, of these types (none: all), from a stream sequence or a time on.

        Goes on by itself after a restart of the server.
        """
        start: int | datetime = since or from_sequence
        subjects = _subjects(run_id, types)
        while True:
            try:
                async for raw in self._follow(topology.EVENTS_STREAM, subjects, start):
                    start = (raw.seq or 0) + 1
                    for recorded in _recorded(raw):
                        yield recorded
            except (NatsError, APIError, ConnectionError, TimeoutError, Retry) as error:
                log.debug("tail is interrupted", error=str(error))
            await asyncio.sleep(0.1)

    async def is_cancelled(self, run_id: str) -> bool:
        """Whether a person ended the run."""
        return await self._last(topology.EVENTS_STREAM, f"run.cancelled.{run_id}.*") is not None

    async def cancelled(self) -> set[str]:
        """The ids of all runs that a person ended."""
        found: set[str] = set()
        asked = {"subjects_filter": f"{RunCancelled.type}.*.*"}
        while True:
            body = json.dumps({**asked, "offset": len(found)}).encode()
            answer = json.loads(await self._request(f"$JS.API.STREAM.INFO.{topology.EVENTS_STREAM}", body))
            subjects = answer.get("state", {}).get("subjects") or {}
            more = {subject.split(".")[2] for subject in subjects} - found
            found |= more
            if not more or len(found) >= answer.get("total", 0):
                return found

    async def _read(
        self, stream: str, subjects: Sequence[str], start: int | datetime = 1
    ) -> AsyncIterator[RawStreamMsg]:
        """All messages from there on up to the last one that is there now."""
        last = await self._newest(stream, subjects, start)
        if not last:
            return
        async for raw in self._follow(stream, subjects, start):
            yield raw
            if (raw.seq or 0) >= last:
                return
        raise Retry("NATS was interrupted while the log was read; ask again")

    async def _follow(self, stream: str, subjects: Sequence[str], start: int | datetime) -> AsyncIterator[RawStreamMsg]:
        """Messages from a sequence or a time on; ends where the server went silent although it has more."""
        config, reached = _from(start), start - 1 if isinstance(start, int) else 0
        config.filter_subjects = list(subjects)
        subscription = await self._js.subscribe("", stream=stream, ordered_consumer=True, config=config)
        try:
            while True:
                try:
                    msg = await subscription.next_msg(timeout=IDLE_SECONDS)
                except NatsTimeoutError:
                    if await self._newest(stream, subjects, start) > reached:
                        return
                    continue
                reached = msg.metadata.sequence.stream
                yield RawStreamMsg(
                    subject=msg.subject, seq=reached, data=msg.data, headers=msg.headers, time=msg.metadata.timestamp
                )
        finally:
            with suppress(NatsError, APIError, TimeoutError):
                await subscription.unsubscribe()

    async def _newest(self, stream: str, subjects: Sequence[str], start: int | datetime) -> int:
        """The sequence of the last message on any of the subjects; 0 where there is none since then."""
        found = [raw for subject in subjects if (raw := await self._last(stream, subject)) is not None]
        young = [raw for raw in found if isinstance(start, int) or (raw.time or start) >= start]
        return max((raw.seq or 0 for raw in young), default=0)

    async def _last(self, stream: str, subject: str) -> RawStreamMsg | None:
        try:
            return await self._js.get_last_msg(stream, subject, direct=stream == topology.EVENTS_STREAM)
        except NotFoundError:
            return None
        except (NatsError, ConnectionError) as error:
            raise Retry(f"NATS does not answer: {error or type(error).__name__}") from error

    # Archiving

    def snapshot(self, stream: str) -> AbstractAsyncContextManager[tuple[dict[str, Any], AsyncGenerator[bytes, None]]]:
        """A stream's configuration and state, and its bytes, as JetStream writes them."""
        return snapshot.taking(self._client, stream)

    async def restore(self, about: dict[str, Any], chunks: AsyncIterator[bytes]) -> dict[str, Any]:
        """Make a stream of what `snapshot` gave; its description. Reject where there is one of that name."""
        return await snapshot.restore(self._client, about, chunks)

    # Consuming

    async def consume(
        self,
        durable: str,
        handle: Callable[[Msg], Awaitable[None]],
        *,
        concurrency: int,
        stop: asyncio.Event,
        gives_back: bool = False,
    ) -> None:
        """Hand every delivery of a consumer to `handle`, until `stop`; then finish what is in hand, or cancel it."""
        loop = PullLoop(self._client, topology.EVENTS_STREAM, durable, handle, concurrency)
        self._pulling.add(loop)
        try:
            await loop.run(stop, gives_back=gives_back)
        finally:
            self._pulling.discard(loop)

    def ailments(self, grace: float) -> list[str]:
        """Why the log is out of reach, each as a sentence: NATS, or a consumer, was not heard for `grace` seconds.

        How long NATS has been away counts from the last call that found it there.
        """
        if self._client.is_connected:
            self._connected_at = monotonic()
        away = monotonic() - self._connected_at
        if away > grace:
            return [f"NATS has been out of reach for {away:.0f} s"]
        silent = sorted((loop.durable, loop.silence()) for loop in self._pulling)
        return [f"the consumer {name} has not answered for {s:.0f} s" for name, s in silent if s > grace]

    # Leases

    @asynccontextmanager
    async def lease(self, key: str, seconds: float = leases.LEASE_SECONDS) -> AsyncIterator[None]:
        """Implements `shared.ports.Leases`: hold the key against all who are connected to this log.

        Raises Retry where NATS does not answer. Those of one process wait in line, and one of them asks the server.
        """
        async with self._turns.lease(key), leases.held(self._claim, self._give_up, key, seconds):
            yield

    async def _claim(self, key: str, seconds: float, revision: int) -> int | None:
        """The new revision of a lease that is held at `revision` (0: by nobody); None where somebody else holds it."""
        subject = f"$KV.{topology.LEASES_BUCKET}.{key}"
        # The server counts a message's life in whole seconds.
        headers = {"Nats-Expected-Last-Subject-Sequence": str(revision), "Nats-TTL": f"{math.ceil(seconds)}s"}
        try:
            ack = await self._js.publish(subject, self._holder, headers=headers, timeout=2)
        except APIError as error:
            if error.err_code == ALREADY_PUBLISHED:
                # A claim that went unanswered was stored after all: what this process holds, it may hold on to.
                last = await self._last(f"KV_{topology.LEASES_BUCKET}", subject)
                own = last is not None and last.data == self._holder and last.seq != revision
                return await self._claim(key, seconds, last.seq or 0) if own and last else None
            if error.err_code in RIVAL_IN_FLIGHT:
                return None
            raise Retry(f"NATS gives no lease: {error.description}") from error
        except (NatsError, ConnectionError) as error:
            raise Retry(f"NATS gives no lease: {error or type(error).__name__}") from error
        return ack.seq

    async def _give_up(self, revision: int) -> None:
        """Free what is held at this revision; nothing where it has expired."""
        body = json.dumps({"seq": revision, "no_erase": True}).encode()
        await self._request(f"$JS.API.STREAM.MSG.DELETE.KV_{topology.LEASES_BUCKET}", body)

    # Blobs

    async def put_blob(self, data: bytes) -> BlobRef:
        """Store under its sha256 where it is absent; the reference."""
        digest = hashlib.sha256(data).hexdigest()
        reference = BlobRef(key=f"sha256-{digest}", size=len(data), digest=digest)
        try:
            bucket = await self._js.object_store(topology.BLOBS_BUCKET)
            try:
                await bucket.get_info(reference.key)
            except ObjectNotFoundError:
                await bucket.put(reference.key, data)
        except (NatsError, APIError, ConnectionError) as error:
            raise Retry(f"the object store does not answer: {error or type(error).__name__}") from error
        return reference

    async def get_blob(self, reference: BlobRef) -> bytes:
        """The bytes; Reject where they are gone or are not what the digest says."""
        try:
            bucket = await self._js.object_store(topology.BLOBS_BUCKET)
            info = await bucket.get_info(reference.key)
            data = await self._chunks(info.nuid or "", info.size or 0)
        except NotFoundError as error:
            raise Reject(f"the blob {reference.key} is not in the object store") from error
        except (NatsError, APIError, ConnectionError) as error:
            raise Retry(f"the object store does not answer: {error or type(error).__name__}") from error
        if hashlib.sha256(data).hexdigest() != reference.digest:
            raise Reject(f"the blob {reference.key} does not match its digest")
        return data

    async def _chunks(self, nuid: str, size: int) -> bytes:
        """The content of an object, asked for message by message: a consumer could be told to deliver anywhere."""
        data, sequence = bytearray(), 1
        while len(data) < size:
            subject = f"$O.{topology.BLOBS_BUCKET}.C.{nuid}"
            raw = await self._js.get_msg(f"OBJ_{topology.BLOBS_BUCKET}", sequence, subject, next=True)
            data += raw.data or b""
            sequence = (raw.seq or 0) + 1
        return bytes(data)


def _body(event: Event) -> bytes:
    """The event's JSON; Reject where it is larger than an event may be."""
    body = event.model_dump_json().encode()
    if len(body) > MAX_BODY:
        raise Reject(f"{event.subject} is {len(body)} bytes, more than {MAX_BODY}; put what is large into a blob")
    return body


def envelope(event: Event, source: str, cause: str | None, by: str | None = None) -> dict[str, str]:
    """The headers of an event: CloudEvents 1.0 in binary mode, the trace context, and both publish guards."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": event.subject,
        "ce-type": event.type,
        "ce-source": f"greenrun/{source}",
        "ce-time": datetime.now(UTC).isoformat(),
        "ce-dataschema": f"urn:greenrun:{event.type}:{event.schema_version}",
        "content-type": "application/json",
        "traceparent": traceparent(event.run_id, event.subject),
        "Nats-Expected-Last-Subject-Sequence": "0",
        "Nats-Msg-Id": event.subject,
    }
    return headers | {name: value for name, value in (("ce-cause", cause), ("ce-by", by)) if value}


def decode(subject: str, data: bytes, headers: Mapping[str, str] | None) -> Event:
    """The event of a message; Undecodable says why it is none.

    The envelope must be of the same subject: whoever may ask the server anything can name any subject for the answer,
    and has it stored there without a right to publish it (docs/security.md).
    """
    first, _, rest = subject.partition(".")
    second, _, identity = rest.partition(".")
    model = EVENT_TYPES.get(f"{first}.{second}")
    run_id, _, attempt = identity.rpartition(".")
    if model is None or not run_id or not attempt.isdigit():
        raise Undecodable(f"{subject} is the subject of no event type that is known here")
    try:
        event = model.model_validate_json(data)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        raise Undecodable(f"the body is no {model.type}: {problems}") from error
    if event.subject != subject:
        raise Undecodable(f"the body says {event.subject}, the subject {subject}")
    if (headers or {}).get("ce-id") != subject:
        raise Undecodable(f"its envelope is not that of {subject}: nobody published it as this event")
    return event


def _subjects(run_id: str, types: Sequence[type[Event]]) -> list[str]:
    """The filter of a run's events of these types; of all where none is named."""
    return [f"{event.type}.{run_id}.*" for event in types] or [f"*.*.{run_id}.*"]


def _from(start: int | datetime) -> ConsumerConfig:
    """A consumer that starts there."""
    if isinstance(start, datetime):
        return ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=start)
    return ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start)


def _recorded(raw: RawStreamMsg) -> list[Recorded]:
    """The event of a stored message; none where it is no event, which is only logged."""
    subject, headers = raw.subject or "", raw.headers or {}
    try:
        event = decode(subject, raw.data or b"", headers)
    except Undecodable as error:
        log.warning("skipped in the log", subject=subject, sequence=raw.seq, reason=str(error))
        return []
    source = headers.get("ce-source", "").removeprefix("greenrun/") or "unknown"
    imported = IMPORTED in headers
    time = _elsewhere(headers) if imported else raw.time
    cause, by = headers.get("ce-cause"), headers.get("ce-by")
    return [Recorded(event, raw.seq or 0, time or datetime.now(UTC), subject, source, cause, by, imported)]


def _elsewhere(headers: Mapping[str, str]) -> datetime | None:
    """When an imported event was stored first; None where its envelope does not say."""
    with suppress(KeyError, ValueError):
        return datetime.fromisoformat(headers["ce-time"]).astimezone(UTC)
    return None
