"""The Claude Code CLI, one process for each answer: no tools, no session, no settings of a person; the prompt on stdin.

It runs in a container by default, as everything that a model has a say in should; a local program is a setting.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from shared.errors import Reject, Retry
from shared.ports import Completion, unheard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from shared.ports import Progress
    from shared.settings import ModelSettings

# What the program may know of the environment: how to reach the model, and nothing else.
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
PASSED = (
    *(*KEYS, "ANTHROPIC_BASE_URL"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "NPM_CONFIG_REGISTRY"),
)
# What it is told of how to behave.
TOLD = (
    *("CLAUDE_CODE_MAX_RETRIES", "CLAUDE_CODE_MAX_OUTPUT_TOKENS", "API_TIMEOUT_MS"),
    *("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER"),
)
FLAGS = (
    *("--bare", "-p", "--output-format", "stream-json", "--verbose", "--include-partial-messages"),
    *("--no-session-persistence", "--tools", "", "--strict-mcp-config", "--setting-sources", ""),
)
BUSY = frozenset({408, 409, 429})
SERVER_ERROR = 500
# Bytes of one line, which holds an answer twice at most; and characters of an answer.
LINE_LIMIT = 8_000_000
MAX_ANSWER = 1_000_000
# Seconds that the program has to end by itself; a container's client passes the signal on meanwhile.
GRACE = 5.0
# What a container of this program is allowed: the network, and nothing of the machine.
CONFINED = ("--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=512", "--memory=2g")
# A piece of text is some four characters a token.
CHARACTERS = 4


class ClaudeCode:
    """Implements `shared.ports.Model`."""

    def __init__(self, settings: ModelSettings) -> None:
        """Nothing runs yet. Reject where the program that is to run it is not there."""
        self.name = settings.claude_code_model or "claude-code"
        self._settings = settings
        self._command = _command(settings)
        if shutil.which(self._command[0]) is None:
            raise Reject(
                f"{self._command[0]} is not installed, with which LLM_PROVIDER=claude-code runs; "
                "see CLAUDE_CODE_COMMAND and CLAUDE_CODE_IMAGE"
            )

    async def complete(
        self, system: str, prompt: str, schema: Mapping[str, object], progress: Progress = unheard
    ) -> Completion:
        """The whole answer. Raises Retry where the model is away, busy or slow, Reject where it cannot do it at all."""
        arguments = [*FLAGS, "--system-prompt", system, "--json-schema", json.dumps(schema)]
        if self._settings.claude_code_model:
            arguments += ["--model", self._settings.claude_code_model]
        with tempfile.TemporaryDirectory(prefix="greenrun-claude-") as home:
            try:
                async with asyncio.timeout(self._settings.llm_timeout):
                    return await self._run([*self._command, *arguments], home, prompt, progress)
            except TimeoutError as error:
                seconds = self._settings.llm_timeout
                raise Retry(f"Claude Code gave no answer within {seconds:.0f} s") from error

    async def _run(self, command: list[str], home: str, prompt: str, progress: Progress) -> Completion:
        """One process; with the task its whole group ends."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=home,
            env=self._environment(home),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        told, said, complained = process.stdin, process.stdout, process.stderr
        assert told is not None and said is not None and complained is not None  # noqa: S101, PT018 - they are pipes
        words = asyncio.create_task(complained.read())
        try:
            await _write(told, prompt)
            result = await _result(_lines(said), progress)
            await process.wait()
            if result is None:
                raise _no_result(process.returncode, (await words).decode(errors="replace"))
            return self._completion(result)
        finally:
            await _end(process)
            words.cancel()
            await asyncio.gather(words, return_exceptions=True)

    def _environment(self, home: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in PASSED if name in os.environ}
        return {
            **kept,
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": home,
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(self._settings.llm_max_tokens),
            "API_TIMEOUT_MS": str(int(self._settings.llm_timeout * 1000)),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
        }

    def _completion(self, result: dict[str, Any]) -> Completion:
        """The answer in the last message; an error of the server says `success` there as well.

        A model that never kept to the schema gives no error of a server: its answer is then no JSON object.
        """
        text = str(result.get("result") or "; ".join(map(str, result.get("errors") or ())))
        if result.get("is_error") and not str(result.get("subtype")).startswith("error_max"):
            raise _refusal(result.get("api_error_status"), text)
        if result.get("stop_reason") == "max_tokens":
            limit = self._settings.llm_max_tokens
            raise Reject(f"the answer of {self.name} was cut off at {limit} tokens; raise LLM_MAX_TOKENS")
        structured = result.get("structured_output")
        usage = result.get("usage") or {}
        return Completion(
            json.dumps(structured) if structured is not None else text,
            self.name,
            sum(int(usage.get(f"{kind}input_tokens") or 0) for kind in ("", "cache_read_", "cache_creation_")),
            int(usage.get("output_tokens") or 0),
            float(result.get("total_cost_usd") or 0.0),
        )


def _command(settings: ModelSettings) -> list[str]:
    """How the program is started: in a container, unless no image is named."""
    own = shlex.split(settings.claude_code_command)
    if not settings.claude_code_image:
        return own
    passed = [option for name in (*PASSED, *TOLD) for option in ("--env", name)]
    engine = [settings.claude_code_engine, "run", "--rm", "--interactive", "--init", *CONFINED]
    return [*engine, *passed, settings.claude_code_image, *own]


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the program and all that it started, by asking first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(process.wait()), GRACE)


async def _write(stdin: asyncio.StreamWriter, prompt: str) -> None:
    """Give the prompt; a program that ends before it has read it says why on its own."""
    with suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(prompt.encode())
        await stdin.drain()
    stdin.close()


async def _lines(stdout: asyncio.StreamReader) -> AsyncIterator[bytes]:
    try:
        async for line in stdout:
            yield line
    except ValueError as error:
        raise Reject(f"Claude Code does not stop: a line of more than {LINE_LIMIT} bytes") from error


async def _result(lines: AsyncIterator[bytes], progress: Progress) -> dict[str, Any] | None:
    """The last message, with a report of the pieces before it; None where there is none."""
    result, size = None, 0
    async for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if not isinstance(event, dict):
            continue
        if event.get("type") == "result":
            result = event
        elif event.get("type") == "stream_event":
            delta = (event.get("event") or {}).get("delta") or {}
            size += len(delta.get("text") or delta.get("partial_json") or "")
            if size > MAX_ANSWER:
                raise Reject(f"Claude Code does not stop: more than {MAX_ANSWER} characters")
            await progress(size // CHARACTERS)
    return result


def _no_result(code: int | None, words: str) -> Retry | Reject:
    """The program ended without an answer: wrong flags, no network for npx, a container engine that is away."""
    last = " ".join(words.split())[-300:] or "it said nothing"
    if "unknown option" in words or "Invalid" in words:
        return Reject(f"Claude Code refuses how it was called (exit {code}): {last}", evidence=words[-2000:])
    return Retry(f"Claude Code ended without an answer (exit {code}): {last}")


def _refusal(status: int | None, words: str) -> Retry | Reject:
    """An error of the model's server; without a status it never answered."""
    if status is None or status in BUSY or status >= SERVER_ERROR:
        return Retry(f"Claude Code: {words[:300]}")
    return Reject(f"Claude Code was refused ({status}): {words[:300]}", evidence=words[:2000])
