"""permission_error: the executable bit, the user of the Dockerfile, a folder that the user cannot write.

It may put `chmod +x` of a file of the repository before the step that runs it; run one instruction of the Dockerfile
as root, or give a folder to its user before it; tell git that the checkout is the job's; and set the HOME of one job.
It never changes who a job's container runs as.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from services.healer.edit.dockerfile import failed_run, lines_of_instruction, stages_of, with_lines
from services.healer.edit.pipeline import with_commands, with_step, with_variable
from services.healer.strategies.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.healer.failure import Failure
    from shared.ci.instructions import Instruction

# Every image has it, and every user may write there.
HOME = "/tmp"  # noqa: S108 - of the job's own container
_FILE = r"(?:\./|[\w.-]+/)[\w./@+-]{1,200}|(?:/[\w.@+-]+){1,12}\.(?:sh|py)"
_DENIED = re.compile(
    rf"(?:^|[\s:'\"`(])(?P<path>{_FILE})['\"`]?: [Pp]ermission denied"
    r"|exec:? ['\"]?(?P<executed>[\w./@+-]{1,200})['\"]?: permission denied"
)
# POSIX: 126 is a file that was found and could not be executed.
_EXIT = re.compile(r"\b(?:exit(?:ed)?|failed)\b.{0,40}\b126\b")
_NAMED = re.compile(r"The command \"(?P<path>\./[\w./@+-]{1,200})")
_BEGUN = re.compile(r"(?:\w{1,60}=\S{0,200} )*(?P<path>\./[\w./@+-]{1,200})")
_PLACE = r"/[\w./@+-]{1,300}"
_WRITTEN = re.compile(
    r"(?:EACCES|EPERM): (?:permission denied|operation not permitted), \w+ '(?P<by_node>/[^']{1,300})'"
    r"|\[Errno 13\] Permission denied: '(?P<by_python>/[^']{1,300})'"
    r"|(?:create|creating|mkdir|open|touch|write to)[^'\"`/\u2018]{0,40}['\"`\u2018]?"
    rf"(?P<by_shell>{_PLACE})['\"`\u2019]?.{{0,20}}: [Pp]ermission denied"
    rf"|(?:[Cc]ould not|[Uu]nable to) (?:create|write|open)[^'\"`/]{{0,40}}['\"`]?(?P<by_tool>{_PLACE})"
)
_REFUSED = re.compile(r"[Pp]ermission denied|EACCES|EPERM|Operation not permitted")
_DUBIOUS = re.compile(r"dubious ownership in repository")
_TASKS = re.compile(r"(?:npm|npx|pnpm|yarn|make|tox|nox|just|task|composer|rake)\b")
_NOT_ROOT = re.compile(
    r"are you root\?|must be (?:run as )?root|/var/lib/(?:apt|dpkg)/\S* .{0,20}Permission denied"
    r"|apk.{0,60}Permission denied"
)
_SYSTEM = re.compile(r"/(?:usr|var|etc|opt|lib|bin|sbin|run)\b")
_HOMES = re.compile(r"^/(?:root|home/[\w.-]+|nonexistent)?/?\.[\w.-]+|^/(?:nonexistent|home/[\w.-]+)(?:/|$)")


def repairs(failure: Failure) -> Iterator[Fix]:
    """The repairs of what the log says was refused, the likeliest first."""
    found = (way(failure) for way in _WAYS)
    yield from (fix for fix in found if fix)


def _executable(failure: Failure) -> Fix | None:
    """`chmod +x` right before what runs the file, in the script and in the Dockerfile."""
    said = next((m for line in reversed(failure.said) if (m := _DENIED.search(line))), None)
    path = (said["path"] or said["executed"]) if said else _not_run(failure)
    if not path or (path.startswith("/") and not failure.builds_image):
        return None
    pipeline = None if failure.builds_image else _chmod_in_job(failure, path)
    dockerfile = _chmod_in_dockerfile(failure.files.dockerfile, path)
    if pipeline is None and not (failure.builds_image and dockerfile):
        return None
    update = {"pipeline": pipeline or failure.files.pipeline, "dockerfile": dockerfile or failure.files.dockerfile}
    return Fix(
        "make it executable", f"{path} is made executable before it is run", failure.files.model_copy(update=update)
    )


def _not_run(failure: Failure) -> str:
    """The file of the repository that the failed command began with, where an exit code is all that is said."""
    if not any(_EXIT.search(line) for line in failure.near):
        return ""
    shown = next((m["path"] for line in reversed(failure.near) if (m := _NAMED.search(line))), "")
    return shown or next((m["path"] for m in [_BEGUN.match(failure.command)] if m), "")


def _chmod_in_job(failure: Failure, path: str) -> str | None:
    step = next((step for step in failure.steps if _names(step.text, path)), None)
    # What a task of the project runs is in its manifest: the step that runs the task.
    step = step or next((one for one in failure.steps if one == failure.step and _TASKS.match(one.text)), None)
    if step is None or "chmod" in step.text:
        return None
    command = f"chmod +x {shlex.quote(path)}"
    entered = re.search(rf"\bcd \S+ && (?=(?:\w+=\S* )*{re.escape(path)}(?![\w/.-]))", step.text)
    if entered:
        return with_step(
            failure.document, step, f"{step.text[: entered.end()]}{command} && {step.text[entered.end() :]}"
        )
    return with_commands(failure.document, step.path, [command])


def _chmod_in_dockerfile(text: str, path: str) -> str | None:
    """Before the first RUN that runs it; where the image starts with it, before the user changes or at the end."""
    for stage in stages_of(text):
        for one in stage.instructions:
            if one.word == "RUN" and _names(one.rest, path) and "chmod" not in one.rest:
                return _as_owner(text, stage.user_at(one.line), one, f"RUN chmod +x {shlex.quote(path)}")
            if one.word in ("ENTRYPOINT", "CMD") and _names(one.rest, path):
                user = next((i for i in stage.instructions if i.word == "USER"), one)
                copied = [i for i in stage.instructions if i.word in ("COPY", "ADD") and i.line > user.line]
                return _as_owner(
                    text,
                    "" if not copied else user.rest,
                    user if not copied else one,
                    f"RUN chmod +x {shlex.quote(path)}",
                )
    return None


def _as_owner(text: str, user: str, before: Instruction, instruction: str) -> str:
    """The instruction before another, as root where the user is another one: a file may be root's."""
    lines = [instruction] if _is_root(user) else ["USER root", instruction, f"USER {user}"]
    return with_lines(text, before.line, lines)


def _is_root(user: str) -> bool:
    return not user or user.partition(":")[0] in ("root", "0")


def _names(text: str, path: str) -> bool:
    return bool(re.search(rf"(?<![\w./-]){re.escape(path)}(?![\w/-])", text))


def _writable(failure: Failure) -> Fix | None:
    """A folder of the image that its user cannot write is given to the user before the user takes over."""
    ran = failed_run(failure.files.dockerfile, failure.lines) if failure.builds_image else None
    refused = any(_REFUSED.search(line) for line in failure.near)
    if ran is None or not refused or _is_root(ran[0].user_at(ran[1].line)):
        return None
    (stage, run), path = ran, _refused_path(failure)
    user = stage.user_at(run.line)
    places = [
        one.rest for one in stage.instructions if one.word == "WORKDIR" and one.line < run.line and one.rest != "/"
    ]
    within = [place for place in reversed(places) if not path or path == place or path.startswith(f"{place}/")]
    if path and _SYSTEM.match(path) and not within:
        return _run_as_root(failure, run, user)
    folder = within[0] if within else path.rpartition("/")[0] or path
    if not folder:
        return None
    switch = next(one for one in reversed(stage.instructions) if one.word == "USER" and one.line < run.line)
    given = f"RUN mkdir -p {shlex.quote(folder)} && chown -R {user} {shlex.quote(folder)}"
    changed = with_lines(failure.files.dockerfile, switch.line, [given])
    for one in stage.instructions:
        if one.word in ("COPY", "ADD") and switch.line < one.line < run.line:
            changed = _copied_as(changed, one, user)
    files = failure.files.model_copy(update={"dockerfile": changed})
    return Fix("give the folder to the user", f"{folder} belongs to {user} before {user} writes there", files)


def _copied_as(text: str, copy: Instruction, user: str) -> str:
    """COPY gives what it copies to root unless it is told otherwise."""
    if "--chown" in copy.rest:
        return text
    return text.replace(f"{copy.word} {copy.rest}", f"{copy.word} --chown={user} {copy.rest}", 1)


def _rooted(failure: Failure) -> Fix | None:
    """A package manager that wants root runs as root, and the user comes back after it."""
    ran = failed_run(failure.files.dockerfile, failure.lines) if failure.builds_image else None
    if ran is None or not any(_NOT_ROOT.search(line) for line in failure.said):
        return None
    user = ran[0].user_at(ran[1].line)
    return None if _is_root(user) else _run_as_root(failure, ran[1], user)


def _run_as_root(failure: Failure, run: Instruction, user: str) -> Fix:
    text = failure.files.dockerfile
    start, end = lines_of_instruction(text, run)
    lines = text.splitlines(keepends=True)
    changed = "".join(
        [*lines[: start - 1], "USER root\n", *lines[start - 1 : end - 1], f"USER {user}\n", *lines[end - 1 :]]
    )
    files = failure.files.model_copy(update={"dockerfile": changed})
    return Fix(
        "run it as root",
        f"line {start} of the Dockerfile writes where only root may; {user} takes over after it",
        files,
    )


def _own_checkout(failure: Failure) -> Fix | None:
    """Git is told that the checkout, which the runner made as another user, is the job's."""
    if not failure.steps or not any(_DUBIOUS.search(line) for line in failure.said):
        return None
    step = failure.step or failure.steps[0]
    text = with_commands(failure.document, step.path, ['git config --global --add safe.directory "$CI_PROJECT_DIR"'])
    summary = "git takes the checkout, which belongs to the runner's user, for the job's own"
    return (
        Fix("tell git whose the checkout is", summary, failure.files.model_copy(update={"pipeline": text}))
        if text
        else None
    )


def _own_home(failure: Failure) -> Fix | None:
    """A HOME that the job's user can write: tools keep caches and settings there."""
    path = _refused_path(failure)
    if not path or not _HOMES.search(path) or failure.builds_image or not failure.known:
        return None
    text = with_variable(failure.document, failure.name, "HOME", HOME)
    summary = f"job {failure.name}: its HOME is {HOME}, because {path} cannot be written"
    return Fix("give the job a home", summary, failure.files.model_copy(update={"pipeline": text})) if text else None


def _refused_path(failure: Failure) -> str:
    said = next((m for line in reversed(failure.said) if (m := _WRITTEN.search(line))), None)
    return next(filter(None, said.groups()), "").rstrip("/.") if said else ""


_WAYS: tuple[Callable[[Failure], Fix | None], ...] = (_executable, _own_checkout, _rooted, _writable, _own_home)
