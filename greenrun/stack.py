"""The containers of compose.yaml as the command on this machine reaches them: published ports, operator's secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from greenrun.exits import WrongCall, why
from shared.permissions import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# As in compose.yaml.
SECRETS = ("GREENRUN_SECRETS", "./secrets")
NATS = ("PUBLISH_NATS", "127.0.0.1:4222")
GITLAB = ("PUBLISH_GITLAB", "127.0.0.1:8929")
SANDBOX_GITLAB = "gitlab"


def is_here(folder: Path) -> bool:
    """Whether this folder has the secrets of a stack."""
    return bool(_operator(_secrets(folder, _said(folder))))


def values(folder: Path) -> dict[str, Any]:
    """The settings of a program on this machine for the stack that is started from the folder.

    WrongCall where its secrets are not there, or not readable.
    """
    return values_told(folder, _said(folder))


def values_told(folder: Path, said: Mapping[str, str | None]) -> dict[str, Any]:
    """The same, where `said` are the variables that Compose was told."""
    secrets = _secrets(folder, said)
    login = _operator(secrets)
    if not login:
        raise WrongCall(f"{secrets} has no secrets of an operator; make them with: greenrun secrets init {secrets}")
    found = {"nats_url": f"nats://{_of(NATS, said)}", "nats_user": OPERATOR, **login, **_gitlab(said)}
    outside = {name: _read(secrets / name) for name in ("gitlab_token", "webhook_secret")}
    return found | {name: text for name, text in outside.items() if text}


def _said(folder: Path) -> Mapping[str, str | None]:
    """What Compose is told there: the environment, else the file .env."""
    return {**dotenv_values(folder / ".env"), **os.environ}


def _of(variable: tuple[str, str], said: Mapping[str, str | None]) -> str:
    name, default = variable
    return said.get(name) or default


def _secrets(folder: Path, said: Mapping[str, str | None]) -> Path:
    return folder / _of(SECRETS, said)


def _operator(secrets: Path) -> dict[str, str]:
    """The operator's password or key; empty where there is neither."""
    named = {name: _read(secrets / f"{name}_{OPERATOR}") for name in ("nats_password", "nats_nkey_seed")}
    return {name: text for name, text in named.items() if text}


def _gitlab(said: Mapping[str, str | None]) -> dict[str, str]:
    """GitLab as it is set; that of the sandbox where it is published, because its own name is known to containers."""
    url = said.get("GITLAB_URL") or ""
    if urlsplit(url).hostname == SANDBOX_GITLAB:
        url = f"http://{_of(GITLAB, said)}"
    hook = said.get("GATEWAY_URL") or ""
    return {name: text for name, text in (("gitlab_url", url), ("gateway_url", hook)) if text}


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise WrongCall(f"{path} cannot be read: {why(error)}") from error
