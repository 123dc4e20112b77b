"""Which tool said a line: its own way of writing, else the last command before it; as data and one pure function."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.ci.region import Line

# How far above the evidence a command may stand, in lines.
LOOK_BACK = 200

# The marks that only this tool puts on its lines; the first that matches counts.
_MARKS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (tool, re.compile(pattern))
    for tool, pattern in (
        (
            "gitlab-runner",
            r"^ERROR: Job failed|^WARNING: Failed to pull image|^ERROR: No files to upload|Job's log exceed",
        ),
        ("github-actions", r"^##\[error\]|^Error: Process completed with exit code|^The (?:hosted )?runner has"),
        ("npm", r"^npm (?:ERR!|error|WARN)"),
        ("pnpm", r"\bERR_PNPM_"),
        ("yarn", r"^error An unexpected error occurred|^➤ YN\d{4}|^error Your lockfile needs"),
        ("typescript", r"\berror TS\d+:"),
        ("maven", r"^\[(?:ERROR|INFO|WARNING)\] |maven-\w+-plugin|^Tests run: \d+"),
        (
            "gradle",
            r"^Execution failed for task|^> Task :|^FAILURE: Build failed with|^> (?:Could not|There were|Compilation)",
        ),
        ("sbt", r"^\[(?:error|info|warn)\] "),
        ("cargo", r"^error\[E\d+\]|^error: could not compile|^test result: |failed to select a version"),
        ("go", r"^--- FAIL:|^go: |^FAIL\t|^\S+\.go:\d+:\d+: |: signal: killed$"),
        ("pytest", r"^=+ .* in [\d.:]+s?|^E   |^FAILED \S+\.py"),
        ("unittest", r"^FAILED \((?:failures|errors)=|^Ran \d+ tests? in"),
        ("pip", r"No matching distribution found|Could not find a version that satisfies|ResolutionImpossible|^pip\."),
        ("bundler", r"^Bundler could not|Could not find gem|^Bundler::|^Could not find \S+ in any of the sources"),
        ("composer", r"^Your requirements could not be resolved|^\s+Problem \d+$|\[Composer\\"),
        ("rspec", r"^\d+ examples?, \d+ failures?"),
        ("phpunit", r"^FAILURES!$|^Tests: \d+, Assertions:"),
        ("jest", r"^Tests: +\d+ (?:failed|passed)|^Test Suites:"),
        ("dotnet", r"\b(?:error|warning) (?:CS|NU|MSB|NETSDK)\d+|^Failed! +- Failed:"),
        ("mix", r"^\*\* \(\w[\w.]*(?:Error)?\) "),
        ("apk", r"^ERROR: unable to select packages|APKINDEX|^ERROR: unsatisfiable constraints|dl-cdn\.alpinelinux"),
        ("apt", r"^E: |^Err:\d|^W: Failed to fetch|^dpkg: "),
        ("dnf", r"^Error: Unable to find a match|^No package \S+ available|repomd\.xml"),
        ("ansible", r"^fatal: \[\S+\]: |^TASK \["),
        ("mocha", r"^\s+\d+ failing$"),
        ("javac", r"^\S+\.java:\d+: error: "),
        ("gcc", r"^\S+\.(?:c|cc|cpp|h|hpp):\d+:\d+: (?:fatal )?error: |^collect2: "),
        ("ant", r"build\.xml:\d+: |^\s+\[(?:javac|junit)\] "),
        ("git", r"^fatal: |^remote: |^error: RPC failed"),
        ("curl", r"^curl: \(\d+\)"),
        ("ssh", r"Permission denied \(publickey|^Host key verification failed|^ssh: "),
        ("kubernetes", r"ErrImagePull|ImagePullBackOff|CrashLoopBackOff|OOMKilled|^Error from server"),
        ("kaniko", r"^error (?:building image|checking push permissions|pushing image)|^kaniko"),
        ("buildah", r"^Error: (?:error )?building at STEP|^error building at STEP|^Error: creating build container"),
        (
            "docker",
            r"Error response from daemon|docker daemon|^ERROR: failed to (?:solve|build)|failed to solve|^docker: ",
        ),
        ("trivy", r"^Total: \d+ \(|\|\s*CVE-\d{4}"),
        ("bandit", r"^>> Issue: \[B\d+"),
        ("eslint", r"^✖ \d+ problems?"),
        ("rubocop", r"offenses? detected"),
        ("java", r"java\.lang\.OutOfMemoryError|^Exception in thread|^\s+at [\w.$]+\([\w$]+\.java"),
        ("node", r"JavaScript heap out of memory|^Error: Cannot find module|^node:internal"),
        ("make", r"^make(?:\[\d+\])?: \*\*\* "),
        ("shell", r"(?:^|/)(?:ba|da|a|z)?sh: |^\S+\.sh: line \d+: |: line \d+: .*: (?:command )?not found$"),
    )
)
# A command as GitLab, `set -x`, GitHub Actions and Travis show it before they run it, or name it after.
_COMMAND = re.compile(
    r'^(?:\$ |\+ |##\[group\]Run |Run |##\[command\]|The command ")(?:sudo |time |exec |travis_retry |env )*'
    r"(?:\w{1,60}=\S{0,200} )*(?P<program>[\w./+-]{1,200})"
)
_PROGRAMS = {"mvn": "maven", "mvnw": "maven", "gradlew": "gradle", "apt-get": "apt", "pip3": "pip", "yum": "dnf"}
_PROGRAMS |= {
    "bundle": "bundler",
    "tsc": "typescript",
    "kubectl": "kubernetes",
    "executor": "kaniko",
    "py.test": "pytest",
}
_NO_TOOL = frozenset(
    {"echo", "cd", "export", "if", "for", "while", "set", "source", "eval", "sh", "bash", "then", "test"}
)


def tool_of(lines: Sequence[Line], number: int | None) -> str:
    """The tool that said the line of that number; empty where neither the line nor one above it tells."""
    place = next((at for at, line in enumerate(lines) if line.number == number), None)
    if place is None:
        return ""
    marked = _marked(lines[place].text)
    if marked:
        return marked
    above = lines[max(0, place - LOOK_BACK) : place + 1]
    return next(filter(None, (_program(line.text) for line in reversed(above))), "")


def _marked(text: str) -> str:
    return next((tool for tool, mark in _MARKS if mark.search(text)), "")


def _program(text: str) -> str:
    found = _COMMAND.match(text)
    name = found["program"].rsplit("/", 1)[-1] if found else ""
    return "" if name in _NO_TOOL else _PROGRAMS.get(name, name)
