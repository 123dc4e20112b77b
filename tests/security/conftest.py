"""Secrets as `greenrun secrets init` makes them, and a real NATS server that lets nobody in without them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from greenrun import embedded, nats_users
from greenrun.secrets import USERS_FILE, Vault
from shared.bus import Bus
from shared.permissions import OPERATOR, PROVISIONER, USERS, inbox
from shared.settings import CommonSettings

# As the server writes it: "Publish Violation", "Subscription Violation", "authentication error".
REFUSED = (" Violation - ", "authentication error")


def filled(folder: Path, *, nkeys: bool = False) -> Path:
    """The folder with every secret in it."""
    Vault(folder, 0o600).fill(nkeys=nkeys)
    return folder


@dataclass
class Guarded:
    """A server with the users of a folder of secrets, and what they prove themselves with."""

    url: str
    secrets: Path
    log: Path
    pid: Path
    heard: list[str] = field(default_factory=list)

    def own(self, user: str) -> dict[str, Any]:
        """The settings that only this user is told."""
        kinds = {"nats_password": "nats_password", "nats_nkey_seed": "nats_nkey_seed"}
        files = {name: self.secrets / f"{kind}_{user}" for name, kind in kinds.items()}
        return {"nats_user": user} | {name: path.read_text() for name, path in files.items() if path.exists()}

    def settings(self, user: str, **changes: Any) -> CommonSettings:
        """How this user connects."""
        return CommonSettings(**{"nats_url": self.url, **self.own(user), **changes})

    @asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[Client]:
        """A plain client of NATS as this user; what it is refused is in `heard`."""

        async def hear(error: Exception) -> None:
            self.heard.append(str(error))

        password = (self.secrets / f"nats_password_{user}").read_text()
        prefix = inbox(user).encode()
        client = await nats.connect(self.url, user=user, password=password, inbox_prefix=prefix, error_cb=hear)
        try:
            yield client
        finally:
            await client.close()

    def refusals(self) -> list[str]:
        """What the server's log says that it refused."""
        return [line for line in self.log.read_text().splitlines() if any(words in line for words in REFUSED)]


@asynccontextmanager
async def guarded(folder: Path, secrets: Path, more: str = "") -> AsyncIterator[Guarded]:
    """The server, provisioned by the provisioner; `more` goes into its configuration."""
    folder.mkdir(exist_ok=True)
    configuration = folder / "nats.conf"
    shutil.copy(secrets / USERS_FILE, folder)  # the server looks for it beside its configuration
    configuration.write_text(f'include {USERS_FILE}\npid_file: "{folder / "nats.pid"}"\n{more}')
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(embedded.nats_server(folder / "data", configuration=configuration))
        yield Guarded(url, secrets, folder / "data" / "server.log", folder / "nats.pid")


@pytest.fixture(scope="session", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """The cost of a hash is not what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nats_users, "BCRYPT_ROUNDS", 4)
        yield


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of secrets for all tests that do not change it."""
    return filled(tmp_path_factory.mktemp("secrets") / "own")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nats_server(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    """A provisioned server with the generated table of users."""
    folder = tmp_path_factory.mktemp("nats")
    async with guarded(folder, secrets) as server:
        async with Bus.connect(server.settings(PROVISIONER), PROVISIONER) as bus:
            await bus.provision()
        yield server


__all__ = ["OPERATOR", "USERS", "Guarded"]
