"""Write .env.example from the settings classes and compose.yaml; with --check only say whether it is up to date."""

from __future__ import annotations

import re
import sys
import textwrap
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pydantic import SecretStr  # noqa: E402 - the path comes first

from shared import settings  # noqa: E402
from shared.topology import TOPOLOGY  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic.fields import FieldInfo

EXAMPLE = ROOT / ".env.example"
SERVICES = tuple(row.service for row in TOPOLOGY)
WIDTH = 120
HEAD = """\
# Every setting of greenrun with its default. Copy this file to .env and uncomment what is to differ:
# compose.yaml passes each service the settings that it reads, and no other. A secret is a file in GREENRUN_SECRETS
# (greenrun secrets init secrets --mounted); here it would reach nobody.
# deploy/sandbox.env and deploy/cluster.env are short files of this kind.
# Made by scripts/environment.py from the settings classes: make env
"""

# What compose.yaml itself asks for: name, default, what it is.
COMPOSE = (
    ("GREENRUN_IMAGES", "greenrun", "registry and path before each image's name"),
    ("GREENRUN_TAG", "dev", "tag of greenrun's images"),
    ("GREENRUN_SECRETS", "./secrets", "folder of the secrets"),
    ("BUILD_CA", "/dev/null", "certificates of a proxy or mirror of packages, while images are built"),
    ("REPLICAS", "1", "containers of each service"),
    ("MONITOR_CONCURRENCY", "5000", "CONCURRENCY of the monitor, which only waits: pipelines that one follows at once"),
    ("NATS_CONFIG", "alone", "alone, or node: one of three (profile cluster)"),
    ("NATS_MAX_FILE", "20GB", "disk that the log may take on each NATS server; then nothing more is taken on"),
    ("PUBLISH_GATEWAY", "127.0.0.1:8080", "address on this machine of the API; with replicas a range of ports"),
    ("PUBLISH_NATS", "127.0.0.1:4222", "address on this machine of the log, for the command"),
    ("PUBLISH_GITLAB", "127.0.0.1:8929", "profile sandbox: address on this machine of its GitLab"),
    ("PUBLISH_REGISTRY", "127.0.0.1:5001", "profile sandbox: address on this machine of its registry"),
    ("PUBLISH_OLLAMA", "127.0.0.1:11434", "profile ollama: address on this machine of Ollama"),
    ("OLLAMA_CPUS", "8.0", "profile ollama: processors that it may take"),
    ("OLLAMA_MEMORY", "32G", "profile ollama: memory that it may take"),
    ("PUBLISH_PROMETHEUS", "127.0.0.1:9090", "profile observability: address on this machine of Prometheus"),
    ("PUBLISH_GRAFANA", "127.0.0.1:3000", "profile observability: address on this machine of Grafana"),
)
# Settings whose value in a container is not the default.
IN_COMPOSE = {
    "NATS_URL": "nats://nats:4222",
    "NATS_USER": "each service has its own",
    "HEALTH_FILE": "as the image says",
    "CONCURRENCY": "of all but the monitor, which has MONITOR_CONCURRENCY",
    "GATEWAY_HOST": "0.0.0.0 within the container; PUBLISH_GATEWAY says where it is reached",
    "GATEWAY_PORT": "8080 within the container; PUBLISH_GATEWAY says where it is reached",
}


@dataclass(frozen=True)
class Setting:
    """One setting: its variable, default as text, what it is, who reads it; `secret` where it is a file."""

    variable: str
    default: str
    about: str
    readers: tuple[str, ...]
    secret: bool

    def lines(self) -> Iterator[str]:
        """What it is in a comment, and the assignment; of a secret only the name of its file."""
        about = f"{self.about} ({', '.join(self.readers)})" if self.readers else self.about
        about += f" - the file {self.variable.lower()}" if self.secret else ""
        about += f" - in compose.yaml {IN_COMPOSE[self.variable]}" if self.variable in IN_COMPOSE else ""
        yield from textwrap.wrap(about, WIDTH, initial_indent="# ", subsequent_indent="#   ")
        if not self.secret:
            yield f"#{self.variable}={self.default}"


def of_service(service: str) -> type[settings.CommonSettings]:
    """The settings class of a service."""
    found: type[settings.CommonSettings] = import_module(f"services.{service}.settings").Settings
    return found


def groups() -> Iterator[tuple[str, list[Setting]]]:
    """Title and settings of each class: those that services share, then each service's own."""
    by_service = {service: of_service(service) for service in SERVICES}
    shared = [
        one
        for one in vars(settings).values()
        if isinstance(one, type) and issubclass(one, settings.Environment) and one is not settings.Environment
    ]
    told: set[str] = set()
    for title, owner in [*((_title(one), one) for one in shared), *by_service.items()]:
        own = [name for name in owner.__annotations__ if name in owner.model_fields and name not in told]
        told.update(own)
        if own:
            yield title, [_setting(name, owner.model_fields[name], by_service) for name in own]


def is_secret(field: FieldInfo) -> bool:
    """Whether the field holds what must not be shown."""
    return SecretStr in (field.annotation, *getattr(field.annotation, "__args__", ()))


def example() -> str:
    """The text of .env.example."""
    own = [Setting(*row, readers=(), secret=False) for row in COMPOSE]
    blocks = [HEAD, *(_block(title, found) for title, found in [("compose.yaml itself", own), *groups()])]
    return "\n".join(blocks)


def _title(owner: type[settings.Environment]) -> str:
    return re.split(r"[;.\n]", owner.__doc__ or owner.__name__)[0]


def _setting(name: str, field: FieldInfo, by_service: dict[str, type[settings.CommonSettings]]) -> Setting:
    readers = tuple(service for service, owner in by_service.items() if name in owner.model_fields)
    everybody = ("all",) if readers == SERVICES else readers
    return Setting(name.upper(), _shown(field.default), field.description or "", everybody, is_secret(field))


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else str(default)


def _block(title: str, found: Sequence[Setting]) -> str:
    return "\n".join([f"# --- {title}", *(line for setting in found for line in setting.lines()), ""])


def main() -> int:
    """0 where the file is (now) what it should be."""
    text = example()
    if "--check" not in sys.argv:
        EXAMPLE.write_text(text)
        return 0
    if EXAMPLE.is_file() and EXAMPLE.read_text() == text:
        return 0
    sys.stderr.write(".env.example is not that of the settings; run: make env\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
