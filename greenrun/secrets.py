"""`greenrun secrets`: what the parts of an installation prove themselves with, made once and kept in one folder."""

from __future__ import annotations

import os
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from greenrun.exits import USAGE, WrongCall, fail, why
from shared.permissions import USERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenrun.nats_users import Login

app = typer.Typer(no_args_is_help=True, help="Passwords, keys and tokens of an installation, as files in one folder.")
console = Console()

USERS_FILE = "nats-users.conf"
# Who may be a node of the cluster in compose.yaml, and where its nodes are.
ROUTES_FILE = "nats-routes.conf"
ROUTES = ("nats", "nats-2", "nats-3")
# What greenrun makes itself, and what only comes from outside: an empty file says where it belongs.
OWN_TOKENS = ("gateway_token", "webhook_secret")
STACKS_OWN = ("grafana_password",)
FROM_OUTSIDE = ("gitlab_token", "registry_password", "openai_api_key")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="the folder that holds the secrets")]


@app.command()
def init(
    folder: Folder,
    *,
    nkeys: Annotated[
        bool, typer.Option("--nkeys", help="keys instead of passwords; the server knows no secret")
    ] = False,
    mounted: Annotated[
        bool,
        typer.Option(
            "--mounted", help="for compose.yaml, whose containers have users of their own: files 0444 in a 0700"
        ),
    ] = False,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="GitLab is the sandbox's: make the token that it accepts, too")
    ] = False,
) -> None:
    """Make every secret that is missing, and the server's table of users; what is there is never changed."""
    vault = Vault(folder, 0o444 if mounted else 0o600)
    _told(lambda: vault.fill(nkeys=nkeys, stack=mounted, sandbox=sandbox))
    console.print(f"made in {folder}: {', '.join(vault.made) or 'nothing, all of it is there'}", soft_wrap=True)
    for name in vault.empty():
        console.print(f"{folder / name} is empty; where {name.upper()} is needed, write it there", soft_wrap=True)


@app.command()
def rotate(
    folder: Folder, name: Annotated[str, typer.Argument(help="a NATS user, gateway_token or webhook_secret")]
) -> None:
    """Replace one secret; the old one holds until the NATS server reloads and the service is started again."""
    vault = Vault(folder, 0o600)
    _told(lambda: vault.rotate(name))
    console.print(f"{', '.join(vault.made)} replaced in {folder}; {_afterwards(name)}", soft_wrap=True)


def _afterwards(name: str) -> str:
    if name == "webhook_secret":
        return "start the gateway again, then run 'greenrun webhook install' for each project"
    if name in OWN_TOKENS:
        return "start the gateway again"
    server = "now 'nats-server --signal reload' (a container sees the new file once it is restarted)"
    return f"{server}, and start {name} again with what is new"


def _told(work: Callable[[], None]) -> None:
    try:
        work()
    except WrongCall as error:
        raise fail(USAGE, str(error)) from error


@dataclass
class Vault:
    """The folder of secrets; `mode` is that of a new file, and `made` the names of those that were written."""

    folder: Path
    mode: int
    made: list[str] = field(default_factory=list)

    def fill(self, *, nkeys: bool, stack: bool = False, sandbox: bool = False) -> None:
        """Write what is missing; with `stack` also what compose.yaml wants, with `sandbox` a token for its GitLab.

        WrongCall where the folder cannot be written, or a file in it is not what it should be.
        """
        self._readable_table()
        self._own_folder()
        for user in USERS:
            self._login(user, nkeys=nkeys)
        for name in OWN_TOKENS:
            self._once(name, secrets.token_urlsafe(32))
        if stack:
            self._for_the_stack()
        if sandbox and not _read(self.folder / "gitlab_token"):
            self._replace("gitlab_token", f"glpat-{secrets.token_urlsafe(15)}")
        for name in FROM_OUTSIDE:
            self._once(name, "")
        self._table()

    def _for_the_stack(self) -> None:
        """What only containers of compose.yaml read."""
        for name in STACKS_OWN:
            self._once(name, secrets.token_urlsafe(32))
        password = secrets.token_urlsafe(32)
        routes = ", ".join(f'"nats://node:{password}@{node}:6222"' for node in ROUTES)
        table = f'authorization {{ user: node, password: "{password}" }}\nroutes: [{routes}]\n'
        self._once(ROUTES_FILE, table)

    def rotate(self, name: str) -> None:
        """Replace one secret; a user who has both a password and a key gets both anew."""
        names = [name] if name in OWN_TOKENS else [f"nats_password_{name}", f"nats_nkey_seed_{name}"]
        present = [one for one in names if (self.folder / one).exists()]
        if not present:
            known = ", ".join((*USERS, *OWN_TOKENS))
            raise WrongCall(
                f"{self.folder} has no secret of {name}; it is one of {known}, after 'greenrun secrets init'"
            )
        self._readable_table()
        for one in present:
            self.mode = (self.folder / one).stat().st_mode & 0o777
            self._replace(one, _seed() if one.startswith("nats_nkey") else secrets.token_urlsafe(32))
        if name in USERS:
            self._table()

    def empty(self) -> list[str]:
        """The names of the files that a person has to fill."""
        return [name for name in FROM_OUTSIDE if not _read(self.folder / name)]

    def _own_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise WrongCall(f"{self.folder} cannot be made: {why(error)}") from error
        if self.mode & 0o077 and self.folder.stat().st_mode & 0o077:
            raise WrongCall(f"{self.folder} is open to others, and --mounted files rely on it: chmod 700 {self.folder}")

    def _login(self, user: str, *, nkeys: bool) -> None:
        """A key where keys are wanted; a password where the user has no way in yet."""
        if nkeys:
            self._once(f"nats_nkey_seed_{user}", _seed())
        elif not (self.folder / f"nats_nkey_seed_{user}").exists():
            self._once(f"nats_password_{user}", secrets.token_urlsafe(32))

    def _once(self, name: str, text: str) -> None:
        """Write a file that is not there."""
        if not (self.folder / name).exists():
            self._replace(name, text)

    def _replace(self, name: str, text: str) -> None:
        """Write a file as a whole or not at all, and never readable by more than it may be."""
        try:
            handle, written = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
            with os.fdopen(handle, "w") as file:
                file.write(text)
            Path(written).chmod(self.mode)
            Path(written).replace(self.folder / name)
        except OSError as error:
            raise WrongCall(f"{self.folder / name} cannot be written: {why(error)}") from error
        self.made.append(name)

    def _readable_table(self) -> str:
        """The table as it is, empty where there is none; WrongCall where somebody else made it."""
        from greenrun.nats_users import FIRST_LINE  # noqa: PLC0415 - what it needs takes time to load

        path = self.folder / USERS_FILE
        table = _read(path)
        if path.exists() and not table.startswith(FIRST_LINE):
            raise WrongCall(f"{path} was not made by greenrun and is left as it is; move it away, then ask again")
        return table

    def _table(self) -> None:
        """Bring the server's table up to date with the files and with the permissions of this version."""
        from greenrun.nats_users import hashes_in, rendered  # noqa: PLC0415 - what it needs takes time to load

        before = self._readable_table()
        known = hashes_in(before)
        table = rendered({user: self._known(user, known.get(user)) for user in USERS})
        if table.strip() != before:
            self._replace(USERS_FILE, table)

    def _known(self, user: str, known: str | None) -> Login:
        from greenrun.nats_users import Login, hashed, public_key  # noqa: PLC0415 - what it needs takes time to load

        password, seed = (_read(self.folder / f"nats_{kind}_{user}") for kind in ("password", "nkey_seed"))
        try:
            return Login(hashed(password, known) if password else None, public_key(seed) if seed else None)
        except ValueError as error:
            raise WrongCall(f"{self.folder / f'nats_nkey_seed_{user}'} {error}; remove it, then ask again") from error


def _read(path: Path) -> str:
    """The text without the space around it; empty where there is no file."""
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise WrongCall(f"{path} cannot be read: {why(error)}") from error


def _seed() -> str:
    import nkeys  # noqa: PLC0415 - only where keys are wanted

    return str(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())
