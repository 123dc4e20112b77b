"""The real Claude Code CLI against a local server that answers as Anthropic's does, and as networks do."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.generator.decide import ANSWER_SCHEMA
from shared.adapters.llm import connect_model
from shared.errors import Reject, Retry
from shared.ports import Model
from shared.settings import ModelSettings
from tests.models.messages import Messages, messages

GOOD = {"pipeline": "a: b\n", "dockerfile": "FROM x\n"}
KEY = "sk-ant-planted"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and a variable that is nobody else's business."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("GITLAB_TOKEN", "glpat-planted")


@asynccontextmanager
async def asked(server: Messages, command: str, **changes: Any) -> AsyncIterator[Model]:
    """The provider, as the settings choose it, before this server."""
    chosen: dict[str, Any] = {"claude_code_command": command, "claude_code_image": "", "llm_timeout": 30.0}
    settings = ModelSettings(llm_provider="claude-code", **(chosen | changes))
    os.environ["ANTHROPIC_BASE_URL"] = server.url
    try:
        async with connect_model(settings) as model:
            assert model is not None
            yield model
    finally:
        del os.environ["ANTHROPIC_BASE_URL"]


async def test_the_answer_comes_with_tokens_and_cost(claude: str) -> None:
    """Both files as JSON of the schema, what they cost, and how far it was meanwhile."""
    told: list[int] = []

    async def progress(tokens: int) -> None:
        told.append(tokens)

    async with messages(answer=GOOD) as server, asked(server, claude, claude_code_model="claude-x") as model:
        completion = await model.complete("You write.", "ü" * 300_000, ANSWER_SCHEMA, progress)
    assert json.loads(completion.text) == GOOD
    assert (completion.model, completion.prompt_tokens, completion.answer_tokens) == ("claude-x", 107, 20)
    assert completion.cost is not None
    assert told[-1] > 0


async def test_the_model_gets_the_prompt_and_nothing_else(claude: str) -> None:
    """Our system prompt, no tools but the answer's, the key; no file, no setting and no variable of this machine."""
    async with messages(answer=GOOD) as server, asked(server, claude) as model:
        await model.complete("You write pipelines.", "For this repository.", ANSWER_SCHEMA)
    [body] = server.asked
    assert body["key"] == KEY
    assert "You write pipelines." in json.dumps(body["system"])
    assert [tool["name"] for tool in body["tools"]] == ["StructuredOutput"]
    assert "planted" not in json.dumps({**body, "key": ""})


@pytest.mark.parametrize(
    ("answers", "begins"),
    [
        ({"text": "I cannot help with that."}, "I cannot"),
        ({"text": '{"pipeline": "stages: [build'}, '{"pipeline"'),
        ({"answer": {"pipeline": 5}}, "Failed to provide valid structured output"),
    ],
    ids=["prose", "broken JSON", "another schema"],
)
async def test_an_answer_of_another_form_is_the_callers_to_judge(
    claude: str, answers: dict[str, Any], begins: str
) -> None:
    """Prose, half a document, other fields: what was said comes back, and it is no error of the provider."""
    async with messages(**answers) as server, asked(server, claude) as model:
        assert (await model.complete("system", "prompt", ANSWER_SCHEMA)).text.startswith(begins)


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        ({"status": 401}, Reject, "refused \\(401\\)"),
        ({"status": 404}, Reject, "refused \\(404\\)"),
        ({"status": 529}, Retry, "529"),
        ({"status": 429, "headers": {"Retry-After": "1"}}, Retry, "429"),
        ({"answer": {**GOOD, "pipeline": "x" * 2_000_000}}, Reject, "does not stop"),
        ({"answer": GOOD, "stop": "max_tokens"}, Reject, "cut off"),
    ],
    ids=["no key", "no model", "overloaded", "too many", "huge", "cut off"],
)
async def test_an_error_says_whether_it_may_pass(
    claude: str, answers: dict[str, Any], error: type[Exception], said: str
) -> None:
    """What a person has to change is a Reject at once; what may be better later a Retry. The key is in neither."""
    async with messages(**answers) as server, asked(server, claude) as model:
        with pytest.raises(error, match=said) as raised:
            await model.complete("system", "prompt", ANSWER_SCHEMA)
    assert KEY not in str(raised.value)


async def test_a_server_that_hangs_ends_with_the_time_limit(claude: str) -> None:
    """A Retry after the limit, and no process is left."""
    async with messages(hang=True) as server, asked(server, claude, llm_timeout=2.0) as model:
        with pytest.raises(Retry, match="no answer within 2 s"):
            await model.complete("system", "prompt", ANSWER_SCHEMA)
        assert server.asked
    assert processes(claude) == []


async def test_a_cancelled_run_ends_the_program(claude: str) -> None:
    """The task is cancelled while the model thinks: the process goes with it."""
    async with messages(hang=True) as server, asked(server, claude) as model:
        asking = asyncio.create_task(model.complete("system", "prompt", ANSWER_SCHEMA))
        await server.arrived.wait()
        assert processes(claude)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert processes(claude) == []


async def test_nobody_listening_is_a_retry(claude: str) -> None:
    """The server is gone."""
    async with messages() as server, asked(server, claude) as model:
        server.url = ""
        os.environ["ANTHROPIC_BASE_URL"] = "http://127.0.0.1:9"
        with pytest.raises(Retry, match="Claude Code"):
            await model.complete("system", "prompt", ANSWER_SCHEMA)


async def test_a_program_that_refuses_the_call_is_no_outage(claude: str) -> None:
    """A version that does not know the options: its own words, and it is not asked again."""
    async with messages() as server, asked(server, f"{claude} --no-such-option") as model:
        with pytest.raises(Reject, match="unknown option '--no-such-option'"):
            await model.complete("system", "prompt", ANSWER_SCHEMA)


async def test_a_program_that_is_not_there_is_named() -> None:
    """The settings that would mend it stand in the sentence."""
    async with messages() as server:
        with pytest.raises(Reject, match=r"no-such-program is not installed.*CLAUDE_CODE_COMMAND"):
            async with asked(server, "no-such-program"):
                pass


async def test_the_container_gets_the_key_by_name_alone(tmp_path: Path) -> None:
    """By default the CLI runs in a container without rights; no secret stands on a command line."""
    engine = tmp_path / "engine"
    engine.write_text(
        f"#!/bin/sh\necho \"$@\" > {tmp_path}/said\ncat > /dev/null\necho 'no such image' >&2\nexit 125\n"
    )
    engine.chmod(0o755)
    async with messages() as server:
        changes = {"claude_code_engine": str(engine), "claude_code_image": "registry.example/node:22"}
        async with asked(server, "npx -y @anthropic-ai/claude-code", **changes) as model:
            with pytest.raises(Retry, match=r"exit 125.*no such image"):
                await model.complete("system", "prompt", ANSWER_SCHEMA)
    said = (tmp_path / "said").read_text()
    assert said.startswith("run --rm --interactive --init --cap-drop=ALL --security-opt=no-new-privileges")
    assert "--env ANTHROPIC_API_KEY --env" in said
    assert "registry.example/node:22 npx -y @anthropic-ai/claude-code --bare -p" in said
    assert KEY not in said


def processes(program: str) -> list[str]:
    """The command lines of this program's processes."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if program in command:
            found.append(command)
    return found
