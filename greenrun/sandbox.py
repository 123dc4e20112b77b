"""`greenrun sandbox`: the stand-ins for what lies outside greenrun, and the faults that can be put into them."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import httpx
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from greenrun.exits import UNAVAILABLE, USAGE, WrongCall, fail, finish, refused, stop_signal, why
from greenrun.place import values
from shared.settings import GitLabSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

SECONDS = 10.0
LOOPBACK = "127.0.0.1"
Server = TypeVar("Server")

app = typer.Typer(no_args_is_help=True, help="The stand-ins for what lies outside greenrun.")
faults_app = typer.Typer(no_args_is_help=True, help="Faults for the next pipeline of the sandbox's GitLab.")
app.add_typer(faults_app, name="faults")
console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Host = Annotated[
    str, typer.Option(help="address to listen on; beyond loopback whoever reaches it may use it, or read its pages")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")]
ModeName = Literal["check", "shell", "container"]


@app.command("gitlab")
def gitlab(
    *,
    data: Annotated[Path, typer.Option(help="folder for repositories and pipelines")],
    token: Annotated[str, typer.Option(help="the access token that it accepts", envvar="GITLAB_TOKEN")] = "",
    port: Port = 8929,
    host: Host = LOOPBACK,
    url: Annotated[str | None, typer.Option(help="base URL in its links; default: the address it listens on")] = None,
    registry: Annotated[str | None, typer.Option(help="host:port of the registry that jobs pull from")] = None,
    executor: Annotated[
        ModeName, typer.Option(help="jobs are checked, run with bash on this machine, or run in containers")
    ] = "check",
    pass_env: Annotated[
        list[str] | None, typer.Option(help="a variable of this environment that jobs of the shell may see; repeatable")
    ] = None,
) -> None:
    """Run the sandbox's GitLab alone until Ctrl-C."""
    from sandbox.gitlab.executor import Mode  # noqa: PLC0415 - the embedded parts are an extra
    from sandbox.gitlab.server import serve  # noqa: PLC0415

    token, mode = token or _token_of_the_services(), Mode(executor)
    passed = pass_env or []
    server = serve(
        data=data, token=token, registry=registry, port=port, host=host, url=url, executor=mode, passed=passed
    )
    finish(_until_stopped(server, "GitLab", lambda it: f"at {it.url}, its data in {data}, jobs: {mode}", port, data))


@app.command("registry")
def registry(
    *,
    data: Annotated[Path, typer.Option(help="folder for the images")],
    port: Port = 5001,
    host: Host = LOOPBACK,
) -> None:
    """Run a registry alone until Ctrl-C."""
    from sandbox.registry import serve_registry  # noqa: PLC0415 - the embedded parts are an extra

    server = serve_registry(data=data, port=port, host=host)
    finish(_until_stopped(server, "registry", lambda it: f"at {it.host_port}, its data in {data}", port, data))


@app.command("upstream")
def upstream(
    *,
    data: Annotated[Path, typer.Option(help="folder for the images")],
    port: Port = 5002,
    host: Host = LOOPBACK,
) -> None:
    """Run the registry that stands for the world's (SEED_MIRROR): a tiny image under each name that the recipes use."""
    from sandbox.registry import serve_upstream  # noqa: PLC0415 - the embedded parts are an extra
    from shared.recipes import source_images  # noqa: PLC0415

    images = source_images()
    server = serve_upstream(data, images, port=port, host=host)
    finish(_until_stopped(server, "upstream", lambda it: f"at {it.host_port}, {len(images)} images", port, data))


async def _until_stopped(
    started: AbstractAsyncContextManager[Server], name: str, told: Callable[[Server], str], port: int, data: Path
) -> None:
    """Keep the server until a signal; WrongCall where it cannot listen, or not write its data."""
    stop = stop_signal()
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(started)
        except OSError as error:
            where = f"on port {port} with its data in {data}"
            raise WrongCall(f"the sandbox's {name} cannot start {where}: {why(error)}") from error
        console.print(f"{name} (sandbox) {told(server)}  (Ctrl-C ends)", soft_wrap=True)
        await stop.wait()


def _token_of_the_services() -> str:
    """GITLAB_TOKEN as the services read it, so also from a file; a wrong call where there is none."""
    try:
        token = GitLabSettings().gitlab_token.get_secret_value()
    except ValidationError as error:
        raise refused(error) from error
    if not token:
        raise fail(USAGE, "the sandbox's GitLab needs a token that it accepts; give --token, or set GITLAB_TOKEN")
    return token


@faults_app.command("list")
def list_faults(*, as_json: AsJson = False) -> None:
    """List the kinds of faults, and those that wait for a pipeline."""
    found = _ask("GET")
    if as_json:
        console.print_json(json.dumps(found))
        return
    kinds = Table("fault", "what happens", "failure reason", "attempts", box=None)
    for kind in found["kinds"]:
        attempts = "all" if kind["times"] < 0 else str(kind["times"])
        kinds.add_row(kind["name"], kind["about"], kind["failure_reason"], attempts)
    console.print(kinds)
    for one in found["waiting"]:
        console.print(f"[yellow]waits:[/] {_spoken(one)}")


@faults_app.command("add")
def add_fault(
    name: Annotated[str, typer.Argument(help="the fault, as list names it")],
    *,
    project: Annotated[str | None, typer.Option(help="only in this project, path or id")] = None,
    job: Annotated[str | None, typer.Option(help="the job that it befalls; without it the first one that runs")] = None,
    times: Annotated[int | None, typer.Option(min=1, help="how many attempts of the job it befalls")] = None,
    as_json: AsJson = False,
) -> None:
    """Put a fault into the next pipeline."""
    added = _ask("POST", name=name, project=project, job=job, times=times)
    if as_json:
        console.print_json(json.dumps(added))
    else:
        console.print(_spoken(added))


@faults_app.command("clear")
def clear_faults() -> None:
    """Forget the faults that wait."""
    _ask("DELETE")


def _spoken(fault: dict[str, Any]) -> str:
    where = f"the next pipeline of {fault['project']}" if fault["project"] else "the next pipeline"
    return f"{fault['name']} in {where}, job {fault['job'] or 'that runs first'}"


def _ask(method: str, **given: Any) -> Any:
    """The answer of the sandbox's GitLab, the one that runs here or that GITLAB_URL and GITLAB_TOKEN name."""
    try:
        settings = GitLabSettings(**values())
    except ValidationError as error:
        raise refused(error) from error
    with _translated(settings.gitlab_url), httpx.Client(timeout=SECONDS) as client:
        token = settings.gitlab_token.get_secret_value()
        body = {key: value for key, value in given.items() if value is not None}
        url = f"{settings.gitlab_url}/api/v4/sandbox/faults"
        answer = client.request(method, url, headers={"PRIVATE-TOKEN": token}, json=body or None)
        if answer.status_code == httpx.codes.NOT_FOUND and "Project" not in answer.text:
            raise fail(USAGE, f"{settings.gitlab_url} is not the sandbox's GitLab, which alone takes faults")
        if answer.is_client_error:
            told = answer.json()
            raise fail(USAGE, str(told.get("error") or told.get("message")))
        answer.raise_for_status()
        return answer.json() if answer.content else None


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        advice = "start it with 'greenrun up' or 'greenrun sandbox gitlab'"
        raise fail(UNAVAILABLE, f"the sandbox's GitLab at {url} does not answer; {advice}") from error
