"""service_connection: the database or broker beside a job is not declared, has another name, or is not ready yet.

It may add a service of the recipes to the failed job with the variables that say where it is, add an alias to one that
is there, and put a wait of at most a minute before the step that failed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from services.healer.edit.pipeline import with_commands, with_key, with_lines_at, with_scalar
from services.healer.knowledge.distributions import APK, APT, family_of
from services.healer.strategies.fix import Fix
from shared.ci.document import parse as parse_document
from shared.ci.image_names import images_of_jobs
from shared.ci.images import parse, private_name
from shared.recipes.library import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.healer.failure import Failure

_HOST = re.compile(
    r"could not translate host name \"(?P<by_libpq>[\w.-]+)\"|getaddrinfo (?:ENOTFOUND|EAI_AGAIN) (?P<by_node>[\w-]+)"
    r"|lookup (?P<by_go>[\w-]+)(?: on \S+)?: (?:no such host|.{0,60}misbehaving)"
    r"|Unknown MySQL server host '(?P<by_mysql>[\w.-]+)'|UnknownHostException: (?P<by_java>[\w-]+)"
    r"|Error -\d connecting to (?P<by_redis>[\w-]+):\d+\. (?:Name|Temporary failure)"
    r"|(?:Name or service not known|nodename nor servname).{0,60}host='(?P<by_python>[\w-]+)'"
    r"|connect(?:ion)? to (?:server at )?\"?(?P<by_tool>[a-z][\w-]*)\"?.{0,60}(?:refused|failed)"
)
_PORT = re.compile(r"(?:port |[\w\])]:)(?P<port>\d{4,5})\b")
_REFUSED = re.compile(
    r"[Cc]onnection refused|ECONNREFUSED|was refused|starting up|not yet accepting|connection .{0,160}failed"
    r"|Can't connect"
)
_HERE = frozenset({"localhost", "127", "server", "database", "the", "any", "socket"})
_PORTS = {5432: "postgresql", 3306: "mysql", 27017: "mongodb", 6379: "redis", 5672: "rabbitmq", 9092: "kafka"}
_PORTS |= {9200: "elasticsearch", 11211: "memcached", 4222: "nats"}
_WORDS = (
    ("postgresql", re.compile(r"postgres|psycopg|libpq|\bpg[_:]|PG::|\bpq:", re.IGNORECASE)),
    ("mysql", re.compile(r"mysql|mariadb", re.IGNORECASE)),
    ("mongodb", re.compile(r"mongo", re.IGNORECASE)),
    ("redis", re.compile(r"redis", re.IGNORECASE)),
    ("rabbitmq", re.compile(r"rabbit|amqp", re.IGNORECASE)),
    ("kafka", re.compile(r"kafka", re.IGNORECASE)),
    ("elasticsearch", re.compile(r"elastic", re.IGNORECASE)),
    ("memcached", re.compile(r"memcache", re.IGNORECASE)),
    ("nats", re.compile(r"\bnats\b", re.IGNORECASE)),
)


class Asked(NamedTuple):
    """What the job asked for: the kind of service by the recipes' names, the host (empty: this machine), the port."""

    kind: str
    host: str
    port: int


def repairs(failure: Failure) -> Iterator[Fix]:
    """The service where it is missing, its name where it has another, a wait where it only was not ready."""
    asked = _asked(failure)
    if asked is None or not failure.known:
        return
    declared = _declared(failure)
    same = next((alias for alias, image in declared.items() if _kind_of(image) == asked.kind), None)
    if same is None:
        fix = _with_service(failure, asked)
    elif asked.host and asked.host not in declared:
        fix = _with_alias(failure, same, asked.host)
    elif not asked.host:
        fix = _with_variables(failure, asked.kind)
    else:
        fix = _with_wait(failure, asked)
    if fix:
        yield fix


def _asked(failure: Failure) -> Asked | None:
    near = list(reversed(failure.near))
    said = next((m for line in near if (m := _HOST.search(line))), None)
    host = next(filter(None, said.groups()), "") if said else ""
    host = "" if host in _HERE else host
    if not host and not any(_REFUSED.search(line) for line in near):
        return None
    port = next((int(m["port"]) for line in near if (m := _PORT.search(line)) and int(m["port"]) in _PORTS), 0)
    words = next((kind for line in near for kind, word in _WORDS if word.search(line)), "")
    kind = _PORTS.get(port, "") or words or next((k for k, word in _WORDS if host and word.search(host)), "")
    if not kind:
        needed = [name for name in failure.analysis.services if name in load("services")]
        kind = needed[0] if len(needed) == 1 else ""
    return Asked(kind, host, port or next(p for p, k in _PORTS.items() if k == kind)) if kind else None


def _declared(failure: Failure) -> dict[str, str]:
    """The services of the job: alias (or the name that GitLab gives) → image."""
    images = [
        ref for job, path, ref, _ in images_of_jobs(failure.document) if job == failure.name and "services" in path
    ]
    found: dict[str, str] = {}
    for entry, image in zip(failure.document.resolved[failure.name].get("services") or [], images, strict=False):
        aliases = str(entry.get("alias", "")) if isinstance(entry, dict) else ""
        for alias in re.split(r"[\s,]+", aliases) if aliases else [image.rpartition("/")[2].partition(":")[0]]:
            found[alias] = image
    return found


def _kind_of(image: str) -> str:
    name = parse(image).repository if image else ""
    return next((kind for kind, word in _WORDS if word.search(name)), "")


def _with_service(failure: Failure, asked: Asked) -> Fix | None:
    """The recipes' service in the job, under the host that it asks for."""
    known: dict[str, Any] = load("services")[asked.kind]
    alias = asked.host or known["alias"]
    image = private_name(known["image"], failure.registry, failure.where.names)
    named = failure.document.variables.get("REGISTRY") == failure.registry
    written = f"${{REGISTRY}}/{image.removeprefix(f'{failure.registry}/')}" if named else image
    entry = [f"- name: {written}", f"  alias: {alias}"]
    entry += [f"  {key}: {json.dumps(known[key])}" for key in ("command", "variables") if key in known]
    own = failure.document.root.get(failure.name)
    has = isinstance(own, dict) and isinstance(own.get("services"), list) and own["services"]
    if has:
        text = with_lines_at(failure.document, (failure.name, "services", 0), entry)
    elif "services" in failure.document.resolved[failure.name]:
        return None
    else:
        text = with_key(failure.document, failure.name, ["services:", *(f"  {line}" for line in entry)])
    if text is None:
        return None
    told = {name: value.replace(f"@{known['alias']}:", f"@{alias}:") for name, value in known["tells"].items()}
    told = {name: value.replace(f"//{known['alias']}:", f"//{alias}:") for name, value in told.items()}
    text = _telling(failure, text, {n: alias if v == known["alias"] else v for n, v in told.items()}) or text
    summary = f"job {failure.name} gets the service {asked.kind} under the name {alias}"
    return Fix("add the service", summary, failure.files.model_copy(update={"pipeline": text}), certain=True)


def _with_variables(failure: Failure, kind: str) -> Fix | None:
    """The variables that tell the job where the service is that it looks for on its own machine."""
    text = _telling(failure, failure.files.pipeline, load("services")[kind]["tells"])
    if text is None or text == failure.files.pipeline:
        return None
    summary = f"job {failure.name} is told where {kind} is: it looked on its own machine"
    return Fix("tell where the service is", summary, failure.files.model_copy(update={"pipeline": text}), certain=True)


def _telling(failure: Failure, text: str, told: dict[str, str]) -> str | None:
    """The text in which the job has these variables; those that it has already keep their values."""
    document = parse_document(text)
    known = {*document.variables, *(document.resolved[failure.name].get("variables") or {})}
    lines = [f"{name}: {json.dumps(value)}" for name, value in told.items() if name not in known]
    if not lines:
        return text
    own = document.root.get(failure.name)
    if isinstance(own, dict) and isinstance(own.get("variables"), dict) and own["variables"]:
        first = next(iter(own["variables"]))
        return with_lines_at(document, (failure.name, "variables", first), lines)
    if "variables" in document.resolved[failure.name]:
        return None
    return with_key(document, failure.name, ["variables:", *(f"  {line}" for line in lines)])


def _with_alias(failure: Failure, alias: str, host: str) -> Fix | None:
    """The service under the name that the job asks for, beside the one that it has."""
    entries = failure.document.resolved[failure.name].get("services") or []
    for number, entry in enumerate(entries):
        path = (*failure.document.origin_of(failure.name, "services"), number, "alias")
        if isinstance(entry, dict) and alias in re.split(r"[\s,]+", str(entry.get("alias", ""))):
            text = with_scalar(failure.document, path, f"{entry['alias']},{host}")
            summary = f"the service {alias} of job {failure.name} is known as {host} too"
            files = failure.files.model_copy(update={"pipeline": text or failure.files.pipeline})
            return Fix("name the service as it is called", summary, files, certain=True) if text else None
    return None


def _with_wait(failure: Failure, asked: Asked) -> Fix | None:
    """A wait before the step that failed, until the service takes connections; where it never does the step fails."""
    family = family_of(failure.image)
    if family is APT:
        opened = f"(exec 3<>/dev/tcp/{asked.host}/{asked.port}) 2>/dev/null"
        command = f"bash -c 'for i in $(seq 60); do if {opened}; then break; fi; sleep 1; done'"
    elif family is APK:
        command = f"for i in $(seq 60); do if nc -z {asked.host} {asked.port}; then break; fi; sleep 1; done"
    else:
        return None
    if not failure.steps or any(command == step.text for step in failure.steps):
        return None
    step = failure.step or failure.steps[-1]
    text = with_commands(failure.document, step.path, [command])
    summary = f"job {failure.name} waits for {asked.host}:{asked.port} before it goes on"
    return Fix("wait for the service", summary, failure.files.model_copy(update={"pipeline": text})) if text else None
