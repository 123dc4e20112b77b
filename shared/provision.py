"""Make the streams, consumers and the bucket what the topology says; the services never do this themselves.

`python -m shared.provision` does it and ends: before the services start, and again where a new version wants more.
Speaks JetStream's JSON API through one request function, so that the configuration stays data (`shared.topology`).
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from shared import logging, topology
from shared.errors import GreenrunError, Reject, Retry
from shared.settings import CommonSettings, wrong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Request = Callable[[str, bytes], Awaitable[bytes]]

STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
UNAVAILABLE = 503
NO_PEERS_YET = 10005
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Change:
    """What differs in one stream or consumer: `keys` from → to, all of it where it is `missing`.

    `refused` says why it is not done: what is stored, or how safely, would be less afterwards.
    """

    kind: str
    name: str
    wanted: Mapping[str, Any]
    keys: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    missing: bool = False
    refused: tuple[str, ...] = ()

    @property
    def done(self) -> str:
        """What was done about it."""
        said = "made" if self.missing else f"changed {', '.join(self.keys)} of"
        return f"{said} the {self.kind} {self.name}"

    @property
    def sentence(self) -> str:
        """How it stands before anything is done."""
        if self.missing:
            return f"the {self.kind} {self.name} is missing"
        each = (_differs(key, old, new) for key, (old, new) in self.keys.items())
        return f"the {self.kind} {self.name} differs: {', '.join(each)}"


async def apply(request: Request, *, ack_wait: float, kept: topology.Kept = topology.KEPT) -> list[str]:
    """Create what is missing and update what changed; what was done, each as a few words, empty where all was there.

    `ack_wait` in seconds; `kept.replicas` above 1 needs a cluster of at least as many servers. Raises Reject where a
    change would destroy something (nothing is done then) or the server refuses, Retry where JetStream is not ready.
    """
    changes = await compare(request, ack_wait=ack_wait, kept=kept)
    if refused := [reason for change in changes for reason in change.refused]:
        raise Reject(f"nothing was changed, because it would destroy something: {'; '.join(refused)}; {BY_HAND}")
    for change in changes:
        await _do(request, change)
    return [change.done for change in changes]


async def compare(request: Request, *, ack_wait: float, kept: topology.Kept = topology.KEPT) -> list[Change]:
    """What is not as the topology and the settings want it; empty where all is."""
    found = []
    for config in topology.streams(kept):
        there = await _config(request, f"STREAM.INFO.{config['name']}", STREAM_NOT_FOUND)
        found.append(_change("stream", config["name"], there, config))
    for config in topology.consumers(ack_wait=ack_wait):
        name = config["durable_name"]
        info = f"CONSUMER.INFO.{topology.EVENTS_STREAM}.{name}"
        there = await _config(request, info, CONSUMER_NOT_FOUND, STREAM_NOT_FOUND)
        found.append(_change("consumer", name, there, config))
    return [change for change in found if change.missing or change.keys]


async def missing(request: Request) -> list[str]:
    """A sentence for each stream and consumer that is not there, or does not take what the topology has for it.

    What settings say (replicas, limits, times) is not judged: only the provisioner knows them.
    """
    changes = await compare(request, ack_wait=1)
    told = [replace(c, keys={key: c.keys[key] for key in c.keys if key in STRUCTURE}) for c in changes]
    found = [change for change in told if change.missing or change.keys]
    if any(change.missing and change.name == topology.EVENTS_STREAM for change in found):
        found = [change for change in found if change.kind == "stream"]
    return [change.sentence for change in found]


async def _do(request: Request, change: Change) -> None:
    if change.kind == "stream":
        await _ask(request, f"STREAM.{'CREATE' if change.missing else 'UPDATE'}.{change.name}", dict(change.wanted))
    else:
        body = {"stream_name": topology.EVENTS_STREAM, "config": dict(change.wanted)}
        await _ask(request, f"CONSUMER.DURABLE.CREATE.{topology.EVENTS_STREAM}.{change.name}", body)


def _change(kind: str, name: str, there: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> Change:
    """What differs; the server leaves out what is false or nothing, and what it adds of its own is not judged."""
    if there is None:
        return Change(kind, name, wanted, missing=True)
    keys = {
        key: (there.get(key), value) for key, value in wanted.items() if _nothing(there.get(key)) != _nothing(value)
    }
    refused = tuple(
        f"{key} of the {kind} {name}: {LESS[key][1]}"
        for key, (old, new) in keys.items()
        if kind == "stream" and key in LESS and LESS[key][0](old, new)
    )
    return Change(kind, name, wanted, keys, refused=refused)


def _nothing(value: Any) -> Any:
    """The server says -1 for a limit that is none."""
    return None if value in (-1, 0, False, "", None) else value


def _shorter(old: Any, new: Any) -> bool:
    """Whether a limit (of time, bytes or copies; nothing is no limit) keeps less than it did."""
    return _nothing(new) is not None and (_nothing(old) is None or new < old)


def _taken_away(old: Any, new: Any) -> bool:
    return bool(set(old or ()) - set(new or ()))


def _fewer(old: Any, new: Any) -> bool:
    return int(old or 1) > int(new or 1)


def _other(_old: Any, _new: Any) -> bool:
    return True


def _given_up(old: Any, new: Any) -> bool:
    return bool(old) and not new


# What must not be done in passing: when a change of this key destroys something, and what.
LESS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "subjects": (_taken_away, "messages on the subjects that it has now would be taken no longer"),
    "retention": (_other, "messages would be removed as they are acknowledged, or the other way round"),
    "storage": (_other, "what is stored would have to be copied"),
    "max_age": (_shorter, "what is older than the new limit would be deleted"),
    "max_bytes": (_shorter, "it may hold more than that already, which would be deleted, or nothing be taken any more"),
    "max_msgs_per_subject": (_shorter, "all but the newest messages of each subject would be deleted"),
    "num_replicas": (_fewer, "it would be kept on fewer servers; NATS_REPLICAS says on how many"),
    "deny_delete": (_given_up, "messages could be deleted"),
    "deny_purge": (_given_up, "all messages could be deleted at once"),
}
BY_HAND = "who means it does it by hand, with: nats stream edit NAME"
# What does not come from settings.
STRUCTURE = frozenset({"subjects", "filter_subject", "retention", "deny_delete", "deny_purge", "allow_msg_ttl"})
TIMES = frozenset({"max_age", "ack_wait", "duplicate_window"})


def _differs(key: str, old: Any, new: Any) -> str:
    """How a key stands, in words; of a list only what is too little or too much."""
    if isinstance(old, list) and isinstance(new, list):
        lacks = [f"lacks {one}" for one in new if one not in old]
        return f"{key}: {', '.join([*lacks, *(f'has {one} besides' for one in old if one not in new)])}"
    return f"{key} is {_plain(key, old)}, not {_plain(key, new)}"


def _plain(key: str, value: Any) -> str:
    """A value of a configuration for people: times in seconds or days."""
    if _nothing(value) is None:
        return "not set"
    if key in TIMES:
        seconds = value / topology.NANOSECONDS
        days = seconds / 86_400
        return f"{days:g} days" if days >= 1 else f"{seconds:g} s"
    return str(value)


async def _config(request: Request, what: str, *not_found: int) -> dict[str, Any] | None:
    """The configuration of a stream or consumer; None where it is not there."""
    answer = json.loads(await request(f"$JS.API.{what}", b""))
    error = answer.get("error")
    if error and error.get("err_code") in not_found:
        return None
    _check(what, error)
    config: dict[str, Any] = answer["config"]
    return config


async def _ask(request: Request, what: str, body: dict[str, Any]) -> None:
    answer = json.loads(await request(f"$JS.API.{what}", json.dumps(body).encode()))
    _check(what, answer.get("error"))


def _check(what: str, error: dict[str, Any] | None) -> None:
    """Reject what the server refuses; Retry where it only cannot yet, as while a cluster comes together."""
    if error:
        said = f"NATS refuses {what}: {error.get('description')}"
        waiting = error.get("code") == UNAVAILABLE or error.get("err_code") == NO_PEERS_YET
        raise Retry(said) if waiting else Reject(said)


class Settings(CommonSettings):
    """The provisioner's own."""

    provision_timeout: float = Field(120.0, gt=0, description="seconds that the provisioner waits for NATS")


def main() -> None:
    """Wait for NATS, make everything, say what was made; exit code 1 with a sentence where that cannot be."""
    try:
        settings = Settings()
        logging.configure(settings)
        done = asyncio.run(_provision(settings))
    except ValidationError as error:
        sys.exit(f"provisioner: {wrong(error)}")
    except GreenrunError as error:
        sys.exit(f"provisioner: {error}")
    sys.stdout.write("".join(f"{line}\n" for line in done) or "everything was there already\n")


async def _provision(settings: Settings) -> list[str]:
    """What was made or changed, once NATS and its JetStream are ready."""
    from shared.bus import Bus  # noqa: PLC0415 - the bus provisions through this module

    last: Retry | None = None
    try:
        async with asyncio.timeout(settings.provision_timeout), Bus.connect(settings, "provisioner") as bus:
            while True:
                try:
                    return await bus.provision()
                except Retry as error:
                    last = error
                    await asyncio.sleep(PAUSE_SECONDS)
    except TimeoutError as error:
        why = f"JetStream: {last}" if last else "the lines above say why"
        waited = f"{settings.provision_timeout:g} s"
        raise Retry(f"NATS at {settings.nats_address} was not ready in {waited}; {why}") from error


if __name__ == "__main__":
    main()
