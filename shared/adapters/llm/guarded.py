"""A model that is asked with patience and left alone when it is down: waits as it wishes, then a pause for all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shared.errors import Retry
from shared.logging import logger
from shared.ports import unheard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.ports import Completion, Model, Progress
    from shared.settings import ModelSettings

log = logger("model")


class Guarded:
    """Implements `shared.ports.Model` over another one.

    A busy model is asked again after what it says itself (Retry-After), as far as that is short. After so many failures
    in a row nobody asks for a while: each would only wait for the same time limit. Then one may try.
    """

    def __init__(self, model: Model, settings: ModelSettings) -> None:
        """Closed: everybody may ask."""
        self.name = model.name
        self._model = model
        self._settings = settings
        self._failures = 0
        self._open_until = 0.0
        self._trying = False

    async def complete(
        self, system: str, prompt: str, schema: Mapping[str, object], progress: Progress = unheard
    ) -> Completion:
        """The answer; Retry at once while the model is left alone."""
        alone = self._pass()
        try:
            answer = await self._patiently(system, prompt, schema, progress)
        except Retry:
            self._failed()
            raise
        finally:
            self._trying = self._trying and not alone
        self._failures = 0
        return answer

    async def _patiently(
        self, system: str, prompt: str, schema: Mapping[str, object], progress: Progress
    ) -> Completion:
        for _ in range(self._settings.llm_retries):
            try:
                return await self._model.complete(system, prompt, schema, progress)
            except Retry as error:
                if error.after is None or error.after > self._settings.llm_retry_wait:
                    raise
                log.info("the model asks for patience", model=self.name, seconds=error.after, reason=error.reason)
                await asyncio.sleep(error.after)
        return await self._model.complete(system, prompt, schema, progress)

    def _pass(self) -> bool:
        """Whether this one is let through to try for all; Retry while the pause lasts, or while another one tries."""
        if self._failures < self._settings.llm_breaker_failures:
            return False
        left = self._open_until - asyncio.get_running_loop().time()
        if left > 0 or self._trying:
            raise Retry(f"{self.name} failed {self._failures} times in a row; it is left alone", after=max(left, 1.0))
        self._trying = True
        return True

    def _failed(self) -> None:
        self._failures += 1
        self._open_until = asyncio.get_running_loop().time() + self._settings.llm_breaker_pause
