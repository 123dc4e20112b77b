"""The words of a job's trace, in the look of GitLab's runner: sections, colours, and its errors."""

from __future__ import annotations

import time

from sandbox.gitlab.ci_duration import spoken

SHELL_LINE = "[sandbox] This job ran with bash on this machine and not in its image.\n"
FIRST_LINE = "[sandbox] This job was checked, not run: its image, its script, its artifacts.\n"
CLEAR, RED, GREEN, CYAN, YELLOW, RESET = "\x1b[0K", "\x1b[31;1m", "\x1b[32;1m", "\x1b[36;1m", "\x1b[0;33m", "\x1b[0;m"
VERSION = "gitlab-runner 18.2.0 (sandbox)"


def opening() -> str:
    """What a runner says before anything else."""
    return f"{CLEAR}Running with {VERSION}{RESET}\n{CLEAR}  on sandbox, system ID: s_sandbox{RESET}\n"


def note(words: str) -> str:
    """A remark of the sandbox, which the real runner does not make."""
    return f"[sandbox] {words}\n"


def warning(words: str) -> str:
    """A warning in the runner's colour."""
    return f"{YELLOW}WARNING: {words}{RESET}\n"


def begin(name: str, title: str) -> str:
    """The beginning of a section that the web page can fold, with its marker."""
    return f"section_start:{int(time.time())}:{name}\r{CLEAR}{CLEAR}{CYAN}{title}{RESET}\n"


def end(name: str) -> str:
    """The end of a section."""
    return f"section_end:{int(time.time())}:{name}\r{CLEAR}\n"


def section(name: str, title: str, body: str) -> str:
    """A whole section."""
    return begin(name, title) + body + end(name)


def pulled(image: str, digest: str) -> str:
    """An image that is there."""
    name = image.partition("@")[0]
    return (
        f"{CLEAR}Pulling docker image {image} ...{RESET}\n"
        f"{CLEAR}Using docker image {digest} for {image} with digest {name}@{digest} ...{RESET}\n"
    )


def pull_failed(image: str, refusal: str) -> tuple[str, str]:
    """An image that cannot be pulled: the warning within the section, then the error that ends the job."""
    where = "(manager.go:251:0s)"
    warning = f'{YELLOW}WARNING: Failed to pull image with policy "always": {refusal} {where}{RESET}\n'
    words = f'failed to pull image "{image}" with specified policies [always]: {refusal} {where}'
    return f"{CLEAR}Pulling docker image {image} ...{RESET}\n{warning}", f"{RED}ERROR: Job failed: {words}\n{RESET}"


def command(line: str) -> str:
    """A command as the runner echoes it: its first line, and that there is more."""
    first, _, more = line.strip("\n").partition("\n")
    return f"{GREEN}$ {first}{' # collapsed multi-line command' if more else ''}{RESET}\n"


def failed(exit_code: int) -> str:
    """The end of a job whose script failed."""
    return f"{RED}ERROR: Job failed: exit code {exit_code}\n{RESET}"


def system_failure(words: str) -> str:
    """The end of a job that the runner could not run."""
    return f"{RED}ERROR: Job failed (system failure): {words}\n{RESET}"


def canceled() -> str:
    """The end of a job that somebody ended."""
    return f"{RED}ERROR: Job failed: canceled\n{RESET}"


def succeeded() -> str:
    """The end of a job that passed."""
    return f"{GREEN}Job succeeded{RESET}\n"


def timed_out(seconds: int) -> str:
    """The end of a job that took longer than its timeout."""
    return f"{RED}ERROR: Job failed: execution took longer than {spoken(seconds)} seconds\n{RESET}"
