"""A machine with nothing but a shell's tools and what a case gives it: the scripts of a pipeline really run there.

Tools of languages are stand-ins: each is a small program that says in the real tool's words what it misses, looks
whether that is there now, and does nothing else. An image is what a stand-in reads in CI_JOB_IMAGE; a package is a file
that the stand-in of its package manager leaves, with the programs that it has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.gitlab.ci import compile_pipeline
from sandbox.gitlab.ci_records import Context
from services.healer.edit.dockerfile import stages_of
from services.healer.edit.pipeline import steps_of
from services.healer.failure import Failure
from services.healer.knowledge.programs import programs
from services.healer.strategies.timeout_error import minutes
from shared.ci.document import parse
from shared.ci.images import images_of
from shared.ci.needs import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from services.healer.edit.dockerfile import Stage
    from shared.ci.document import Document
    from shared.ci.instructions import Instruction
    from shared.events import Files

SHELL_TOOLS = (
    *(
        "sh",
        "bash",
        "env",
        "find",
        "xargs",
        "cat",
        "chmod",
        "mkdir",
        "touch",
        "seq",
        "sleep",
        "test",
        "sed",
        "grep",
        "cp",
    ),
    *(
        "true",
        "false",
        "ls",
        "head",
        "tail",
        "tr",
        "rm",
        "mv",
        "dirname",
        "basename",
        "printf",
        "sort",
        "cut",
        "id",
        "chown",
    ),
)
# What in a build works on paths of the image, which is not this machine's.
OF_AN_IMAGE = ("mkdir", "mv", "cp", "rm", "chown", "chmod", "find", "xargs")
SECONDS = 20
# What installs, and marks what it installed; a distribution's only as root.
_INSTALLER = """#!/bin/bash
if [ "$(basename "$0")" != pip ] && [ "${USER_NOW:-root}" != root ]; then
  echo 'E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)'; exit 100
fi
for word in "$@"; do
  name=${word%%[=<>~]*}; case $name in -*|install|add|update|component|"") continue;; esac
  touch "$STATE/${name//\\//_}"
  for program in $(grep "^$name " "$STATE/.programs" | cut -d' ' -f2-); do
    [ -e "$BIN/$program" ] || { printf '#!/bin/sh\\nexit 0\\n' > "$BIN/$program"; /bin/chmod +x "$BIN/$program"; }
  done
done
"""
INSTALLERS = ("apt-get", "apk", "dnf", "pip", "gem", "rustup", "corepack")


@dataclass(frozen=True)
class World:
    """What is so where the pipeline runs.

    `tools` maps programs to the body of a stand-in (it exits as bash says); `absent` are programs that no image has
    until they are installed. `folder` are files of the repository (name → text; without the executable bit), with a `!`
    before them files that are not there; `wrappers` are executable and call a stand-in. `takes`
    are minutes that a job needs, `tags` the images that can be had (None: all).
    """

    tools: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    folder: Mapping[str, str] = field(default_factory=dict)
    wrappers: Mapping[str, str] = field(default_factory=dict)
    takes: Mapping[str, int] = field(default_factory=dict)
    tags: frozenset[str] | None = None


@dataclass(frozen=True)
class Outcome:
    """How the pipeline ended: the failed job with its log, or GitLab's errors, or neither."""

    job: str = ""
    log: str = ""
    yaml_errors: str = ""

    @property
    def green(self) -> bool:
        """Whether everything that the world runs passed."""
        return not self.job and not self.yaml_errors


def run(files: Files, world: World, folder: Path, registry: str) -> Outcome:
    """The pipeline in that world: what GitLab would refuse, then the jobs that build, then the image."""
    compiled = compile_pipeline(files.pipeline, Context("main", "main"))
    if compiled.errors:
        return Outcome(yaml_errors="\n".join(compiled.errors))
    missing = _unpullable(files, world, registry)
    if missing:
        return missing
    for job in ("compile", "test", "quality", "build"):
        log = _image(files, world, folder) if job == "build" else _job(files, job, world, folder)
        if log:
            return Outcome(job, f"{log}\nERROR: Job failed: exit code 1\n" if "ERROR: Job failed" not in log else log)
    return Outcome()


def _unpullable(files: Files, world: World, registry: str) -> Outcome | None:
    """The first image that nobody has, where the world says which there are."""
    for use in images_of(files):
        job = use.used_by.removeprefix("job ")
        if world.tags is not None and use.used_by.startswith("job ") and use.reference not in world.tags:
            said = f'failed to pull image "{use.reference}" with specified policies [always]: manifest unknown'
            if use.reference.startswith(f"{registry}/"):
                return Outcome(job, f"ERROR: Job failed: {said}\n")
    return None


def _job(files: Files, name: str, world: World, folder: Path) -> str:
    """The log of a job that failed; empty where it passed."""
    document = parse(files.pipeline)
    job = document.resolved[name]
    allowed = minutes(str(job.get("timeout") or "60m"))
    if world.takes.get(name, 0) > allowed:
        shown = steps_of(document, name)[-1].text
        return f"$ {shown}\nERROR: Job failed: execution took longer than {allowed}m0s seconds\n"
    declared = {**document.variables, **{k: str(v) for k, v in (job.get("variables") or {}).items()}}
    failure = Failure(files, "", "", job=name)
    environment = {**declared, "CI_JOB_IMAGE": failure.image, "SERVICES": " ".join(_services(job))}
    environment["HANDED"] = " ".join(_handed(document, name))
    place = _place(world, folder, name, [step.text for step in failure.steps])
    script = "set -eo pipefail\n" + "\n".join(_shown(step.text) for step in failure.steps)
    return _ran(script, place, environment)


def _shown(text: str) -> str:
    first = text.strip("\n").partition("\n")[0].replace("'", "'\\''")
    return f"printf '%s\\n' '$ {first}'\n{text}"


def _services(job: Mapping[str, object]) -> list[str]:
    entries = [entry for entry in listed(job.get("services")) if isinstance(entry, dict)]
    return [name for entry in entries for name in re.split(r"[\s,]+", str(entry.get("alias", ""))) if name]


def _handed(document: Document, name: str) -> list[str]:
    """The folders that the job has from `compile`: kept there, and taken here."""
    jobs = document.resolved
    artifacts = jobs["compile"].get("artifacts")
    kept = [str(path) for path in listed(artifacts.get("paths"))] if isinstance(artifacts, dict) else []
    for key in ("needs", "dependencies"):
        said = jobs[name].get(key)
        if isinstance(said, list):
            taken = {
                e.get("job") if isinstance(e, dict) else e
                for e in said
                if not isinstance(e, dict) or e.get("artifacts") is not False
            }
            kept = kept if "compile" in taken else []
    return kept


def _image(files: Files, world: World, folder: Path) -> str:
    """The log of a build of the image that failed: its instructions in their order, stage by stage."""
    for number, stage in enumerate(stages_of(files.dockerfile)):
        place = _place(world, folder, f"stage{number}", [one.rest for one in stage.instructions if one.word == "RUN"])
        for one in stage.instructions:
            said = _not_copied(one, world) or _built(one, stage, place)
            if said:
                return f"STEP {number}: {one.word} {one.rest}\n{said}"
    return ""


def _not_copied(copy: Instruction, world: World) -> str:
    """What the builder says of a source that is not there."""
    own = copy.word == "COPY" and "--from" not in copy.rest
    sources = [word for word in copy.rest.split()[:-1] if not word.startswith("--")] if own else []
    lost = next((source.rstrip("/") for source in sources if f"!{source.rstrip('/')}" in world.folder), "")
    where = f'no items matching glob "/builds/a/b/{lost}" copied (1 filtered)'
    return f'Error: building at STEP "COPY {copy.rest}": {where}' if lost else ""


def _built(run: Instruction, stage: Stage, place: Path) -> str:
    """What a RUN that failed printed, and what the builder says of it."""
    if run.word != "RUN" or run.rest.startswith("["):
        return ""
    before = [one for one in stage.instructions if one.line < run.line]
    environment = {"CI_JOB_IMAGE": stage.image, "IN_IMAGE": "1", "SERVICES": "", "HANDED": ""}
    environment |= dict(re.findall(r"(\w+)=(\S+)", " ".join(one.rest for one in before if one.word == "ENV")))
    environment["USER_NOW"] = stage.user_at(run.line) or "root"
    environment["OWNED"] = " ".join(one.rest for one in before if "chown" in one.rest)
    log = _ran(f"set -e\n{run.rest}", place, environment)
    return f'{log}\nError: building at STEP "RUN {run.rest}": while running runtime: exit status 1' if log else ""


def _place(world: World, folder: Path, name: str, commands: list[str]) -> Path:
    """A fresh machine: the shell's tools, the stand-ins, and whatever else the commands name, which passes."""
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    for part in ("bin", "state", "repo"):
        (place / part).mkdir(parents=True)
    for tool in SHELL_TOOLS:
        found = shutil.which(tool)
        if name.startswith("stage") and tool in OF_AN_IMAGE:
            _program(place / "bin" / tool, "exit 0")
        elif found:
            (place / "bin" / tool).symlink_to(found)
    bodies = dict.fromkeys(INSTALLERS, _INSTALLER) | dict(world.tools)
    used = {
        word.rpartition("/")[2] for text in commands for word in re.findall(r"(?<![\w./=$-])[a-z][\w.+-]{1,30}", text)
    }
    known = {name for row in programs().values() for name in row.names}
    passing = {
        word: "exit 0"
        for word in (used & known) | {"node", "npm", "useradd"}
        if word not in bodies and word not in world.absent
    }
    for tool, body in {**bodies, **passing}.items():
        if tool not in world.absent:
            _program(place / "bin" / tool, body)
    (place / "state" / ".programs").write_text("".join(f"{package} {found}\n" for package, found in _packages()))
    for path, tool in world.wrappers.items():
        _program(place / "repo" / path, f'exec {tool} "$@"')
    for path, text in world.folder.items():
        if not path.startswith("!"):
            (place / "repo" / path).parent.mkdir(parents=True, exist_ok=True)
            (place / "repo" / path).write_text(text)
    return place


def _packages() -> Iterator[tuple[str, str]]:
    """Packages, of distributions and of languages, with the programs that they have."""
    yield "enable", "yarn pnpm"
    for row in programs().values():
        for package in {package for text in row.packages.values() for package in text.split()}:
            yield package, " ".join(row.names)
        for line in row.commands.values():
            yield line.split()[-1].partition("==")[0], " ".join(row.names)


def _program(path: Path, body: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(body if body.startswith("#!") else f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def _ran(script: str, place: Path, environment: Mapping[str, str]) -> str:
    """What a script printed that failed; empty where it passed."""
    bare = {
        "PATH": str(place / "bin"),
        "BIN": str(place / "bin"),
        "STATE": str(place / "state"),
        "HOME": str(place),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        [os.environ.get("BASH", "/bin/bash"), "--norc", "--noprofile"],
        input=script,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=place / "repo",
        timeout=SECONDS,
        env={**environment, **bare, "HOME": environment.get("HOME", str(place))},
    )
    return "" if done.returncode == 0 else done.stdout
