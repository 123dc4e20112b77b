"""Who is let in by NATS, over which certificates, and the sentence with which everybody else ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from greenrun.secrets import USERS_FILE, Vault
from shared.bus import Bus
from shared.errors import NotAdmitted, Retry
from shared.events import RepoSubmitted
from shared.permissions import OPERATOR, PROVISIONER
from tests.bus.conftest import analyzed
from tests.security.conftest import Guarded, filled, guarded

ROOT = Path(__file__).parents[2]
SECONDS = 20.0
SEEDER = (sys.executable, "-m", "services.seeder")
RUNS = (str(Path(sys.executable).parent / "greenrun"), "runs")


@dataclass(frozen=True)
class Authority:
    """An authority of its own, and what it signs, in one folder."""

    folder: Path
    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def made(cls, folder: Path, name: str) -> Authority:
        """Its certificate is `<name>.pem`."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(key, key, name, name, days=1, authority=True)
        authority = cls(folder, name, key, certificate)
        authority.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return authority

    @property
    def file(self) -> Path:
        """What NATS_TLS_CA names."""
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, *, days: int = 1, address: str = "127.0.0.1") -> tuple[Path, Path]:
        """The files of a certificate, which expires in so many days, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(key, self.key, name, self.name, days=days, address=address)
        paths = self.folder / f"{self.name}-{name}.crt", self.folder / f"{self.name}-{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        paths[1].write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
        return paths


def _signed(
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    name: str,
    issuer: str,
    *,
    days: int,
    authority: bool = False,
    address: str = "127.0.0.1",
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not authority:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signer, hashes.SHA256())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """The authority that the server's certificate comes from."""
    return Authority.made(tmp_path, "own")


def tls(authority: Authority, *, verify: bool = False, **certificate: Any) -> str:
    """The server's configuration with a certificate of the authority."""
    file, key = authority.issue("server", **certificate)
    asked = f'ca_file: "{authority.file}", verify: true' if verify else ""
    return f'tls {{ cert_file: "{file}", key_file: "{key}", timeout: 5\n {asked} }}'


async def admitted(server: Guarded, user: str = OPERATOR, **changes: Any) -> None:
    """Return where this user can ask the server something."""
    async with asyncio.timeout(SECONDS), Bus.connect(server.settings(user, **changes), user) as bus:
        await bus.provisioned()


async def refused(server: Guarded, **changes: Any) -> str:
    """The sentence with which the operator is not let in."""
    with pytest.raises(NotAdmitted) as caught:
        await admitted(server, **changes)
    return str(caught.value)


async def ended(*argv: str, **environment: str) -> tuple[int | None, str]:
    """The exit code and the output of a program that should end by itself."""
    given = {key: value for key, value in os.environ.items() if not key.startswith(("NATS_", "SECRETS"))}
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=ROOT,
        env=given | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, " ".join(output.decode().split())


async def test_a_wrong_password_ends_services_and_commands_with_a_sentence(secrets: Path, tmp_path: Path) -> None:
    """Neither waits for ever; who, where and what to do are said, the password is not."""
    async with guarded(tmp_path, secrets) as server:
        wrong = {"NATS_URL": server.url, "NATS_PASSWORD": "wr0ng-password"}
        service, command = await asyncio.gather(
            ended(*SEEDER, **wrong), ended(*RUNS, GREENRUN_HOME=str(tmp_path), **wrong)
        )
    assert (service[0], command[0]) == (1, 3)
    for output, user in ((service[1], "seeder"), (command[1], "operator")):
        assert f"{server.url} does not know the user {user}" in output
        assert "NATS_PASSWORD" in output
        assert "wr0ng" not in output
        assert "Traceback" not in output


async def test_a_missing_right_is_said_with_the_subject(secrets: Path, tmp_path: Path) -> None:
    """A healer cannot provision, nor publish an analysis: it is told what it may not do, and what helps."""
    event = RepoSubmitted(run_id="01RUN", repo_url="https://gitlab.example/a/b.git")
    async with guarded(tmp_path, secrets) as server:
        async with Bus.connect(server.settings(PROVISIONER), PROVISIONER) as bus:
            await bus.provision()
        async with Bus.connect(server.settings("healer"), "healer") as bus:
            with pytest.raises(Retry, match=r"does not let healer publish to repo\.analyzed\.01RUN\.1; .*secrets init"):
                await bus.publish(analyzed(event), source="healer")


async def test_nkeys_are_let_in_and_a_foreign_one_is_not(tmp_path: Path) -> None:
    """Under the same permissions as with a password; what is no seed at all is said without being shown."""
    secrets, others = filled(tmp_path / "keys", nkeys=True), filled(tmp_path / "others", nkeys=True)
    foreign = (others / f"nats_nkey_seed_{OPERATOR}").read_text()
    async with guarded(tmp_path / "server", secrets) as server:
        await admitted(server)
        assert "does not know the user operator" in await refused(server, nats_nkey_seed=foreign)
        said = await refused(server, nats_nkey_seed="SUnothing")
        assert "NATS_NKEY_SEED is no nkey seed" in said
        assert "SUnothing" not in said


async def test_tls_with_its_own_authority(secrets: Path, tmp_path: Path, authority: Authority) -> None:
    """Who trusts the authority is let in; who trusts another, or only the system's, is told so."""
    other = Authority.made(tmp_path, "other")
    async with guarded(tmp_path / "server", secrets, tls(authority)) as server:
        await admitted(server, nats_tls_ca=authority.file)
        assert "not from an authority that NATS_TLS_CA names" in await refused(server, nats_tls_ca=other.file)
        assert "not from an authority that NATS_TLS_CA names" in await refused(server)
        assert "holds no certificate" in await refused(server, nats_tls_ca=Path(__file__))


async def test_an_expired_certificate_and_one_for_another_name(
    secrets: Path, tmp_path: Path, authority: Authority
) -> None:
    """Each has its own sentence; a command ends with exit code 3."""
    async with guarded(tmp_path / "expired", secrets, tls(authority, days=-1)) as server:
        told = {"NATS_URL": server.url, "NATS_TLS_CA": str(authority.file), "NATS_PASSWORD": "any"}
        code, output = await ended(*RUNS, GREENRUN_HOME=str(tmp_path), **told)
        assert (code, "has expired" in output, "Traceback" in output) == (3, True, False)
    async with guarded(tmp_path / "named", secrets, tls(authority, address="192.0.2.1")) as server:
        assert "is for another name" in await refused(server, nats_tls_ca=authority.file)


async def test_nothing_is_sent_to_a_server_without_tls_where_tls_is_wanted(
    secrets: Path, tmp_path: Path, authority: Authority
) -> None:
    """Someone in between could take TLS away: the password must not follow."""
    async with guarded(tmp_path, secrets) as server:
        assert "does not offer TLS" in await refused(server, nats_tls_ca=authority.file)
        assert "does not offer TLS" in await refused(server, nats_url=server.url.replace("nats://", "tls://"))
        assert not any("user:operator" in line for line in server.log.read_text().splitlines())


async def test_mutual_tls(secrets: Path, tmp_path: Path, authority: Authority) -> None:
    """With a certificate that the server's authority signed a client is let in; without one, or with another, not."""
    own, stranger = authority.issue("client"), Authority.made(tmp_path, "other").issue("client")
    async with guarded(tmp_path / "server", secrets, tls(authority, verify=True)) as server:
        trust: dict[str, Any] = {"nats_tls_ca": authority.file}
        await admitted(server, **trust, nats_tls_cert=own[0], nats_tls_key=own[1])
        assert "wants a certificate that it knows" in await refused(server, **trust)
        shown = {"nats_tls_cert": stranger[0], "nats_tls_key": stranger[1]}
        assert "wants a certificate that it knows" in await refused(server, **trust, **shown)
        assert "not its key" in await refused(server, **trust, nats_tls_cert=own[0], nats_tls_key=stranger[1])


@asynccontextmanager
async def _service(server: Guarded, secrets: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The seeder as a process of its own, ready."""
    environment = os.environ | {"NATS_URL": server.url, "SECRETS_DIR": str(secrets)}
    process = await asyncio.create_subprocess_exec(
        *SEEDER,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(SECONDS):
            while b'"ready"' not in (line := await process.stderr.readline()):
                assert line, "the service ended"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_after_a_rotation_the_old_password_opens_nothing(tmp_path: Path) -> None:
    """The server reloads; the service that still has the old password ends with a sentence, and starts with the new."""
    secrets = filled(tmp_path / "secrets")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (mounted / "nats_password").write_text((secrets / "nats_password_seeder").read_text())
    async with guarded(tmp_path / "server", secrets) as server:
        async with Bus.connect(server.settings(PROVISIONER), PROVISIONER) as bus:
            await bus.provision()
        async with _service(server, mounted) as process:
            Vault(secrets, 0o600).rotate("seeder")
            (tmp_path / "server" / USERS_FILE).write_text((secrets / USERS_FILE).read_text())
            os.kill(int(server.pid.read_text()), signal.SIGHUP)
            assert process.stderr is not None
            said = await asyncio.wait_for(process.stderr.read(), SECONDS)
            assert await process.wait() == 1
        assert b"does not know the user seeder" in said
        assert b"Traceback" not in said
        (mounted / "nats_password").write_text((secrets / "nats_password_seeder").read_text())
        async with _service(server, mounted):
            pass
