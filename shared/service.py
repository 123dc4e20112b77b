"""What a service is: a name, its settings, how it connects to the outside, and one handler per event type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from shared.events import Event
from shared.settings import CommonSettings

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from shared.bus import Bus

DepsT = TypeVar("DepsT")
SettingsT = TypeVar("SettingsT", bound=CommonSettings)

Answer = Event | Sequence[Event] | None


@dataclass(frozen=True)
class Service(Generic[SettingsT, DepsT]):
    """One phase of the pipeline.

    A handler returns the next events (one, several or none); the bus publishes them, then acks. The author
    writes no subject, ack, id, retry or loop. `handlers` is empty for the gateway, whose `connect` serves HTTP.
    With `gives_back` what is in hand at the end is not finished but given back: for a handler that only waits.
    """

    name: str
    settings: type[SettingsT]
    connect: Callable[[SettingsT, Bus], AbstractAsyncContextManager[DepsT]]
    handlers: Mapping[type[Event], Callable[[Any, DepsT], Awaitable[Answer]]]
    gives_back: bool = False
