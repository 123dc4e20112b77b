"""Who waits for which commit's pipeline, and what the webhooks say of it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from services.monitor.decide import WORTH_A_LOOK
from shared.news import News

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

# Projects of which a webhook was heard: their new watches need no quick looks.
PROJECTS_REMEMBERED = 10_000


@dataclass(eq=False)
class Ear:
    """What one watch hears; `hooked` once GitLab has said anything about its project, `pipeline_id` of what ended."""

    hooked: bool
    pipeline_id: int | None = None
    rung: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
        """Return when a webhook tells something worth a look, at the latest after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self.rung.wait()
        except TimeoutError:
            return
        self.rung.clear()


class Ears:
    """The ears of all watches of this monitor."""

    def __init__(self) -> None:
        """Nobody listens."""
        self._ears: dict[tuple[int, str], set[Ear]] = {}
        self._hooked: dict[int, None] = {}

    @contextmanager
    def listening(self, project_id: int, sha: str) -> Iterator[Ear]:
        """An ear for the pipelines of a commit."""
        ear = Ear(hooked=project_id in self._hooked)
        listeners = self._ears.setdefault((project_id, sha), set())
        listeners.add(ear)
        try:
            yield ear
        finally:
            listeners.discard(ear)
            if not listeners:
                self._ears.pop((project_id, sha), None)

    def hear(self, said: Mapping[str, Any]) -> None:
        """One message of the gateway; what is none is passed over."""
        try:
            news = News.model_validate(said)
        except ValidationError:
            return
        self._remember(news.project_id)
        for ear in self._ears.get((news.project_id, news.sha), ()):
            ear.hooked = True
            if news.job is None and news.status in WORTH_A_LOOK:
                ear.pipeline_id = news.pipeline_id
                ear.rung.set()

    def _remember(self, project_id: int) -> None:
        self._hooked.pop(project_id, None)
        self._hooked[project_id] = None
        if len(self._hooked) > PROJECTS_REMEMBERED:
            del self._hooked[next(iter(self._hooked))]
