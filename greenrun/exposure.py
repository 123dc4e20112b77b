"""Which service is told which secret: derived from the settings that it reads, so that no deployment can say more."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, get_args

from pydantic import SecretStr

from shared.permissions import PROVISIONER, SERVICES
from shared.settings import CommonSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_settings import BaseSettings

# What every service needs to be let in by NATS: one of the two.
OF_NATS = frozenset({"nats_password", "nats_nkey_seed"})


def secrets_of(service: str) -> frozenset[str]:
    """The secrets of one service or of the provisioner, by the names of their settings in lower case.

    KeyError where there is no service of that name.
    """
    return frozenset(
        name
        for name, field in _settings(service).model_fields.items()
        if SecretStr in {field.annotation, *get_args(field.annotation)}
    )


def table() -> Iterator[str]:
    """The rows of docs/security.md: a service and its secrets beside those of NATS."""
    yield "| service | secrets |"
    yield "| --- | --- |"
    for service in (*SERVICES, PROVISIONER):
        told = ", ".join(f"`{name.upper()}`" for name in sorted(secrets_of(service) - OF_NATS))
        yield f"| {service} | {told or 'none'} |"


def _settings(service: str) -> type[BaseSettings]:
    if service == PROVISIONER:
        return CommonSettings
    if service not in SERVICES:
        raise KeyError(service)
    settings: type[BaseSettings] = import_module(f"services.{service}.settings").Settings
    return settings


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table())
