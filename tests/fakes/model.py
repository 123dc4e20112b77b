"""A model that gives prepared answers; it passes the contract test of the real one (tests/generator/test_ollama.py)."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import Reject, Retry
from shared.ports import Completion, Progress, unheard


class FakeModel:
    """Implements `shared.ports.Model`: one answer or error after the other, the last one for ever."""

    name = "fake"

    def __init__(self, *answers: str | Retry | Reject) -> None:
        """With these answers."""
        self.answers = list(answers)
        self.prompts: list[str] = []
        self.systems: list[str] = []

    async def complete(
        self, system: str, prompt: str, schema: Mapping[str, object], progress: Progress = unheard
    ) -> Completion:
        """The next answer."""
        assert schema
        await progress(1)
        self.systems.append(system)
        self.prompts.append(prompt)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Completion(answer, self.name)
