"""Everything on one machine: starts the embedded parts, provisions the log, runs the services."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import sys
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenrun import child, embedded
from greenrun.exits import WrongCall, why
from sandbox.gitlab.executor import JOBS_AT_ONCE, Mode
from sandbox.gitlab.executor_container import NO_RIGHTS, Rights
from sandbox.gitlab.server import serve as serve_gitlab
from sandbox.registry import serve_registry, serve_upstream
from shared import logging
from shared.bus import Bus
from shared.errors import GreenrunError
from shared.permissions import OPERATOR, PROVISIONER
from shared.recipes import source_images
from shared.run import serve
from shared.settings import CommonSettings
from shared.topology import TOPOLOGY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from sandbox.gitlab.server import GitLabServer
    from shared.service import Service

    Own = Mapping[str, Mapping[str, Any]]

SERVICES = tuple(row.service for row in TOPOLOGY)
PORTS = {"nats": 4222, "chroma": 8000, "registry": 5001, "upstream": 5002, "gitlab": 8929, "gateway": 8080}
STATE_FILE = "up.json"
LOCK_FILE = "up.lock"
LAST_PORT = 65535


@dataclass(frozen=True)
class Jobs:
    """How the jobs of the embedded GitLab run: in which mode, with which rights, how many of them together."""

    executor: Mode = Mode.CHECK
    rights: Rights = NO_RIGHTS
    at_once: int = JOBS_AT_ONCE


CHECKED = Jobs()


@dataclass(frozen=True)
class Local:
    """The running system: its settings by lower-case name, and the sandbox's GitLab where that is embedded."""

    values: Mapping[str, Any]
    home: Path
    gitlab: GitLabServer | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    def settings(self) -> CommonSettings:
        """The settings for a client of the log."""
        return CommonSettings(**self.values)


def default_home() -> Path:
    """Where the embedded parts keep their data: GREENRUN_HOME, else the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(os.environ.get("GREENRUN_HOME") or Path(state) / "greenrun")


def running(home: Path) -> dict[str, Any]:
    """The settings of the system that `greenrun up` started with this home; empty where none is running."""
    with suppress(OSError, ValueError):
        state: dict[str, Any] = json.loads((home / STATE_FILE).read_text())
        os.kill(state["pid"], 0)
        return dict(state["values"])
    return {}


@asynccontextmanager
async def start(
    home: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    own: Own | None = None,
    fixed_ports: bool = False,
    processes: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    jobs: Jobs = CHECKED,
) -> AsyncIterator[Local]:
    """The whole system, ready to take submissions; all of it ends with the context.

    A part that `overrides` or the environment already name (GITLAB_URL, NEXUS_REGISTRY, CHROMADB_HOST, NATS_URL) is
    used as it is and not embedded; with a `seed_mirror` of its own the registry has no upstream besides. `own` has what
    only one NATS user is told, by its name. `progress` is called with the name of each part once it is up.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_held(home))
        parts = Parts(home, stack, PORTS if fixed_ports else dict.fromkeys(PORTS, 0), progress, jobs)
        values = await parts.start(overrides or {})
        own = own or {}
        logging.configure(CommonSettings(**values))
        async with Bus.connect(CommonSettings(**{**values, **own.get(PROVISIONER, {})}), PROVISIONER) as bus:
            await bus.provision()
        progress("streams and consumers")
        run_services = _in_processes if processes else _in_this_process
        await stack.enter_async_context(run_services(values, own, home))
        progress("services")
        values |= own.get(OPERATOR, {})
        stack.callback(_write_state(home, values).unlink, missing_ok=True)
        yield Local(values, home, parts.gitlab, parts.names)


@contextmanager
def _held(home: Path) -> Iterator[None]:
    """Hold the folder for this system alone: two servers over the files of one log would spoil it.

    WrongCall where another system has it, or where it cannot be made.
    """
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (home / LOCK_FILE).open("w")
    except OSError as error:
        raise WrongCall(f"{home} cannot hold greenrun's data: {why(error)}; choose another folder") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            advice = "stop it, or choose another folder with --home or GREENRUN_HOME"
            raise WrongCall(f"greenrun is already up with its data in {home}; {advice}") from error
        yield


class Parts:
    """Starts the embedded parts one by one and collects what the services must know about them."""

    def __init__(
        self,
        home: Path,
        stack: AsyncExitStack,
        ports: Mapping[str, int],
        progress: Callable[[str], None],
        jobs: Jobs,
    ) -> None:
        """Nothing is started yet."""
        self._jobs = jobs
        self._home = home
        self._stack = stack
        self._ports = ports
        self._progress = progress
        self.gitlab: GitLabServer | None = None
        self.names: dict[str, str] = {}

    async def start(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Settings by lower-case name: what was given, and for each part that was started here where it is."""
        values: dict[str, Any] = {"llm_provider": os.environ.get("LLM_PROVIDER", "rules"), **given}
        for variable, begin in (
            ("NATS_URL", self._nats),
            ("CHROMADB_HOST", self._chroma),
            ("NEXUS_REGISTRY", self._registry),
            ("GITLAB_URL", self._gitlab),
        ):
            if variable.lower() not in given and not os.environ.get(variable):
                values |= await begin(values)
        values.setdefault("gateway_port", _port("GATEWAY_PORT") or embedded.free_port(self._ports["gateway"]))
        self.names["gateway"] = f"http://{embedded.LOOPBACK}:{values['gateway_port']}"
        for name, made in (
            ("portal_url", self.names["gateway"]),
            ("webhook_secret", self._webhook_secret()),
            ("gateway_token", self._gateway_token()),
            ("gateway_data", str(self._home / "gateway")),
        ):
            if not os.environ.get(name.upper()):
                values.setdefault(name, made)
        return values

    def _gateway_token(self) -> str:
        return _secret(self._home / "gateway.token", "grn-")

    def _webhook_secret(self) -> str:
        return _secret(self._home / "webhook.secret")

    async def _nats(self, _values: Mapping[str, Any]) -> dict[str, Any]:
        url = await self._stack.enter_async_context(embedded.nats_server(self._home / "nats", port=self._ports["nats"]))
        return self._up("NATS", url, nats_url=url)

    async def _chroma(self, _values: Mapping[str, Any]) -> dict[str, Any]:
        port = await self._stack.enter_async_context(embedded.chroma(self._home / "chroma", port=self._ports["chroma"]))
        where = f"{embedded.LOOPBACK}:{port}"
        return self._up("ChromaDB", where, chromadb_host=embedded.LOOPBACK, chromadb_port=port)

    async def _registry(self, values: Mapping[str, Any]) -> dict[str, Any]:
        registry = await self._stack.enter_async_context(
            serve_registry(data=self._home / "registry", port=embedded.free_port(self._ports["registry"]))
        )
        if "seed_mirror" in values:
            return self._up("registry", registry.host_port, nexus_registry=registry.host_port)
        upstream = await self._stack.enter_async_context(
            serve_upstream(
                data=self._home / "upstream",
                images=source_images(),
                port=embedded.free_port(self._ports["upstream"]),
            )
        )
        self.names["upstream"] = upstream.host_port
        return self._up(
            "registry", registry.host_port, nexus_registry=registry.host_port, seed_mirror=upstream.host_port
        )

    async def _gitlab(self, values: Mapping[str, Any]) -> dict[str, Any]:
        data = self._home / "gitlab"
        token = _secret(self._home / "gitlab.token", "glpat-")
        self.gitlab = await self._stack.enter_async_context(
            serve_gitlab(
                port=embedded.free_port(self._ports["gitlab"]),
                data=data,
                token=token,
                registry=values.get("nexus_registry") or os.environ.get("NEXUS_REGISTRY"),
                executor=self._jobs.executor,
                rights=self._jobs.rights,
                jobs_at_once=self._jobs.at_once,
            )
        )
        return self._up("GitLab", self.gitlab.url, gitlab_url=self.gitlab.url, gitlab_token=token)

    def _up(self, name: str, where: str, **values: Any) -> dict[str, Any]:
        self.names[name] = where
        self._progress(f"{name} at {where}")
        return values


def _port(variable: str) -> int:
    """The port that the variable names, 0 where it is not set; WrongCall where it is no port."""
    given = os.environ.get(variable) or "0"
    if not (given.isdecimal() and int(given) <= LAST_PORT):
        raise WrongCall(f"{variable} is {given!r}; it is the number of a port, such as 8080")
    return int(given)


def load(name: str) -> Service[Any, Any]:
    """The service of that name."""
    service: Service[Any, Any] = import_module(f"services.{name}.service").service
    return service


@asynccontextmanager
async def _in_this_process(values: Mapping[str, Any], own: Own, _home: Path) -> AsyncIterator[None]:
    """All services as tasks; one that dies of an error ends the others and its error is raised here."""
    stop = asyncio.Event()
    # All settings first: where those of one service are wrong, no other has begun.
    services = [
        (service, service.settings(**{**values, **own.get(service.name, {})})) for service in map(load, SERVICES)
    ]
    tasks = [
        asyncio.create_task(serve(service, settings, stop=stop), name=service.name) for service, settings in services
    ]
    try:
        await _alive(tasks)
        yield
    finally:
        stop.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        failed = [result for result in results if isinstance(result, Exception)]
    if failed:
        raise failed[0]


async def _alive(tasks: list[asyncio.Task[None]]) -> None:
    """Give every service its first turn; raise the error of one that could not even start."""
    done, _ = await asyncio.wait(tasks, timeout=0.05, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()


@asynccontextmanager
async def _in_processes(values: Mapping[str, Any], own: Own, home: Path) -> AsyncIterator[None]:
    """Each service as `python -m services.<name>`, its log in `home/logs`."""
    logs = home / "logs"
    logs.mkdir(exist_ok=True)
    processes: list[asyncio.subprocess.Process] = []
    try:
        for name in SERVICES:
            with (logs / f"{name}.log").open("ab") as output:
                argv = [sys.executable, "-m", f"services.{name}"]
                told = {**values, **own.get(name, {})}
                environment = {key.upper(): str(value) for key, value in told.items() if value is not None}
                processes.append(await child.start(argv, output, os.environ | environment))
        yield
    finally:
        await asyncio.gather(*map(child.stop, processes))


def _write_state(home: Path, values: Mapping[str, Any]) -> Path:
    """How the other commands find this system; readable by its owner alone, because it holds the sandbox's token."""
    path = home / STATE_FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps({"pid": os.getpid(), "values": dict(values)}))
    return path


def _secret(path: Path, prefix: str = "") -> str:
    """A secret of this system, such as the sandbox's token; made once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(f"{prefix}{secrets.token_urlsafe(15)}")
    secret = path.read_text().strip()
    if not secret:
        raise GreenrunError(f"{path} is empty; remove it and start again")
    return secret
