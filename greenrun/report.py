"""`greenrun export` and `import`: one run as an archive for a bug report, and into a greenrun on this machine.

The archive is a zip: `manifest.json`, `events.jsonl`, the files of each attempt, the traces of failed jobs, and what a
model was shown. Whatever looks like a token, and every secret that this machine is told, is taken out of all of it.
What is imported is history: no service acts on it, and `greenrun retry RUN --from TYPE` goes on from any phase.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import SecretStr
from rich.console import Console

from greenrun.exits import WrongCall, finish
from greenrun.place import history_of, running_log, values, who
from shared.audit import blobs_in
from shared.ci.secrets import masked
from shared.errors import GreenrunError, Reject
from shared.events import EVENT_TYPES, FilesGenerated, PipelineFailed, RunCancelled
from shared.settings import CommonSettings, GitLabSettings, ModelSettings, RegistrySettings, WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shared.bus import Bus, Recorded
    from shared.events import BlobRef, Event

FORMAT = 1
MANIFEST, EVENTS = "manifest.json", "events.jsonl"
REMOVED = "${REMOVED_SECRET}"
# A shorter secret would be found in words that are none.
SECRET_LENGTH = 6
TOLD = (CommonSettings, GitLabSettings, RegistrySettings, ModelSettings, WebhookSettings)
# What a job's name may have and a file's should not.
NO_NAME = re.compile(r"[^\w.-]")
console = Console()


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="the run's id")],
    *,
    out: Annotated[Path | None, typer.Option(help="the file to write; default: RUN.zip")] = None,
) -> None:
    """Write one run to an archive for a bug report: events, files, traces; without tokens."""
    file = out or Path(f"{run}.zip")
    entries = finish(_export(run, file))
    console.print(f"run {run} written to {file}: {entries} entries; look through it before you send it", soft_wrap=True)


def import_run(file: Annotated[Path, typer.Argument(help="an archive that export wrote")]) -> None:
    """Bring a run from an archive into the greenrun of this machine, where any of its phases can be told again."""
    run_id, events = finish(_import(file))
    told = f"run {run_id} is here with {events} events, on which no service acts"
    console.print(f"{told}; go on with: greenrun retry {run_id} --from TYPE", soft_wrap=True)


@dataclass
class Scrubber:
    """Takes secrets out of texts, and gives blobs that had some another name."""

    secrets: Sequence[str] = ()
    renamed: dict[str, dict[str, Any]] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """The text without what is, or looks like, a secret."""
        for secret in self.secrets:
            text = text.replace(secret, REMOVED)
        return masked(text)

    def blob(self, reference: BlobRef, data: bytes) -> tuple[str, bytes]:
        """The key and the bytes without secrets; events are told of the new name."""
        clean = self.text(data.decode(errors="replace")).encode()
        if clean == data:
            return reference.key, data
        digest = hashlib.sha256(clean).hexdigest()
        self.renamed[reference.key] = {"key": f"sha256-{digest}", "size": len(clean), "digest": digest}
        return f"sha256-{digest}", clean

    def value(self, value: Any) -> Any:
        """JSON without secrets, and with the new names of blobs."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return self.renamed.get(value.get("key", "")) or {key: self.value(one) for key, one in value.items()}
        return value


def secrets_of(told: dict[str, Any]) -> list[str]:
    """Every secret that this machine is told, the longest first."""
    found = [
        getattr(settings, name) for settings in (cls(**told) for cls in TOLD) for name in type(settings).model_fields
    ]
    texts = {value.get_secret_value() for value in found if isinstance(value, SecretStr)}
    return sorted((text for text in texts if len(text) >= SECRET_LENGTH), key=len, reverse=True)


async def _export(run_id: str, file: Path) -> int:
    if file.exists():
        raise WrongCall(f"{file} is there already")
    scrubber = Scrubber(secrets_of(values()))
    async with running_log() as bus:
        records = await history_of(bus, run_id)
        found = {ref.key: scrubber.blob(ref, data) for ref, data in await _blobs(bus, records)}
    blobs = dict(found.values())
    entries = {**_files(records, scrubber), **_traces(records, found)}
    entries |= {f"blobs/{key}": data for key, data in blobs.items()}
    lines = "".join(f"{json.dumps(_line(record, scrubber))}\n" for record in records)
    said = {"format": FORMAT, "run_id": run_id, "greenrun": version("greenrun"), "exported": _now(), "blobs": [*blobs]}
    try:
        with zipfile.ZipFile(file, "x", zipfile.ZIP_DEFLATED) as bundle:
            bundle.writestr(MANIFEST, json.dumps(said, indent=2))
            bundle.writestr(EVENTS, lines)
            for name, data in entries.items():
                bundle.writestr(name, data)
    except OSError as error:
        raise GreenrunError(f"{file} cannot be written: {error.strerror or error}") from error
    return len(entries) + 2


async def _blobs(bus: Bus, records: Iterable[Recorded]) -> list[tuple[BlobRef, bytes]]:
    """What the run's events refer to; what is gone is left out, as it is gone for whoever looks into it."""
    references = {ref.key: ref for record in records for ref in blobs_in(record.event)}
    found = []
    for reference in references.values():
        try:
            found.append((reference, await bus.get_blob(reference)))
        except Reject:
            continue
    return found


def _files(records: Iterable[Recorded], scrubber: Scrubber) -> dict[str, bytes]:
    """The files of each attempt under their own names, for whoever only opens the archive."""
    return {
        f"files/{record.event.attempt}/{path}": scrubber.text(text).encode()
        for record in records
        if isinstance(record.event, FilesGenerated)
        for path, text in record.event.proposal.files.by_path().items()
    }


def _traces(records: Iterable[Recorded], found: Mapping[str, tuple[str, bytes]]) -> dict[str, bytes]:
    """The traces of failed jobs by attempt and job."""
    return {
        f"traces/{record.event.attempt}/{NO_NAME.sub('_', job.name)}.log": found[job.trace.key][1]
        for record in records
        if isinstance(record.event, PipelineFailed)
        for job in record.event.pipeline.jobs
        if job.trace and job.trace.key in found
    }


def _line(record: Recorded, scrubber: Scrubber) -> dict[str, Any]:
    return {
        "subject": record.subject,
        "time": record.time.isoformat(),
        "source": record.source,
        "cause": record.cause,
        "by": record.by,
        "data": scrubber.value(record.event.model_dump(mode="json")),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


async def _import(file: Path) -> tuple[str, int]:
    if "nats_url" not in values():  # none runs here, or NATS_URL says another one
        raise WrongCall("import is for a greenrun that runs on this machine; start it with: greenrun up")
    run_id, lines, blobs = _read(file)
    async with running_log() as bus:
        if await bus.history(run_id):
            raise WrongCall(f"run {run_id} is here already; GREENRUN_HOME names another home for 'greenrun up'")
        for data in blobs:
            await bus.put_blob(data)
        wanted = [line for line in lines if not line["subject"].startswith(RunCancelled.type)]
        for line in wanted:
            by, time = line["by"] or f"{who()} (import)", datetime.fromisoformat(line["time"])
            await bus.bring(_event(line), source=line["source"], cause=line["cause"], by=by, time=time)
    return run_id, len(wanted)


def _read(file: Path) -> tuple[str, list[dict[str, Any]], list[bytes]]:
    """The run, its events and its blobs, all checked; WrongCall where the archive is none, or holds something else."""
    try:
        with zipfile.ZipFile(file) as bundle:
            said = json.loads(bundle.read(MANIFEST))
            lines = [json.loads(line) for line in bundle.read(EVENTS).decode().splitlines()]
            blobs = {key: bundle.read(f"blobs/{key}") for key in said["blobs"]}
        run_id = str(said["run_id"])
        for line in lines:
            _refuse_foreign(_event(line), line["subject"], run_id)
        for key, data in blobs.items():
            _refuse_changed(key, data)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise WrongCall(f"{file} is no archive of a run, or not whole: {error}") from error
    return run_id, lines, list(blobs.values())


def _event(line: dict[str, Any]) -> Event:
    return EVENT_TYPES[".".join(line["subject"].split(".")[:2])].model_validate(line["data"])


def _refuse_foreign(event: Event, subject: str, run_id: str) -> None:
    if (event.subject, event.run_id) != (subject, run_id):
        raise ValueError(f"{subject} is no event of run {run_id}")


def _refuse_changed(key: str, data: bytes) -> None:
    if key != f"sha256-{hashlib.sha256(data).hexdigest()}":
        raise ValueError(f"{key} does not match its digest")
