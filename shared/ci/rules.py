"""Every rule of the checker, as a table: what docs and `greenrun lint --rules` say, and what can be switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.ci.finding import Finding, Severity

# yaml: the text itself. gitlab: what GitLab refuses or takes otherwise than meant. dockerfile: the same of Docker.
# house: greenrun's nine stages and ten jobs. policy: what no pipeline of greenrun may do; each can be switched off.
Group = Literal["yaml", "gitlab", "dockerfile", "house", "policy"]


class Rule(NamedTuple):
    """One rule: why it is one, in a sentence."""

    id: str
    group: Group
    severity: Severity
    reason: str


_TABLE: tuple[tuple[Group, Severity, dict[str, str]], ...] = (
    (
        "yaml",
        "error",
        {
            "yaml-empty": "an empty file is no pipeline",
            "yaml-syntax": "GitLab makes no pipeline of what is not YAML",
            "yaml-size": "a text that is too long, too deep or stands for too many values is not read",
            "yaml-mapping": "a pipeline is a mapping of job names to jobs",
            "yaml-duplicate-key": "of two equal keys GitLab drops the first without a word",
        },
    ),
    (
        "gitlab",
        "error",
        {
            "schema": "GitLab's own schema refuses it: an unknown keyword, a wrong type, a value that does not exist",
            "no-jobs": "a pipeline needs at least one job that is not hidden",
            "job-name": "GitLab's database keeps 255 characters of a job's name",
            "missing-script": "a job has a script, a trigger or a run; GitLab refuses one that has nothing to do",
            "script-and-trigger": "a job that triggers a pipeline runs no script",
            "undefined-stage": "a job's stage is one of the declared ones",
            "unknown-extends": "a job can only extend what exists",
            "extends-cycle": "a job cannot extend itself, by whatever way",
            "extends-depth": "GitLab follows extends eleven levels deep",
            "unknown-reference": "a !reference points to something that exists",
            "unknown-need": "needs and dependencies name jobs of this pipeline",
            "later-need": "a job cannot wait for one of a later stage",
            "double-need": "GitLab refuses a job that is named twice in one list of needs",
            "need-cycle": "jobs that wait for each other never start",
            "too-many-needs": "GitLab allows fifty needs in one job",
            "unknown-on-stop": "what stops an environment is a job of this pipeline",
            "rules-if": "GitLab refuses an expression that it cannot read",
            "rules-with-only": "a job has rules, or only and except, never both",
            "delayed-without-start": "a delayed job says when it starts",
            "start-without-delay": "only a delayed job says when it starts",
            "duration": "GitLab refuses a duration that it cannot read",
            "misspelt-variable": "a name that differs in one letter from a variable that exists is empty",
            "shell-syntax": "a script that no shell reads fails its job at once",
            "image-name": "an image whose name no registry knows cannot be pulled",
            "include-missing": "a file that is included has to be there",
        },
    ),
    (
        "gitlab",
        "warning",
        {
            "no-artifacts": "a job that is to give its artifacts makes some",
            "missing-artifact": "a script that uses another job's artifact is given it by needs or dependencies",
            "undefined-variable": "a variable that nothing defines is empty, unless the project's settings have it",
        },
    ),
    (
        "dockerfile",
        "error",
        {
            "dockerfile-size": "a Dockerfile that is too long is not read",
            "dockerfile-no-from": "an image is built from a parent image",
            "dockerfile-before-from": "nothing but ARG stands before the first FROM",
            "dockerfile-instruction": "Docker refuses an instruction that it does not know",
            "dockerfile-arguments": "Docker refuses an instruction without its arguments",
            "dockerfile-copy-from": "COPY --from names an earlier stage, or an image",
            "dockerfile-copy-source": "what is copied is in the repository",
            "dockerfile-shell-syntax": "a RUN that no shell reads fails the build",
        },
    ),
    (
        "dockerfile",
        "warning",
        {
            "dockerfile-user": "an application that runs as root owns its container",
            "dockerfile-port": "the port that the image exposes is the one on which the application listens",
        },
    ),
    (
        "house",
        "error",
        {
            "nine-stages": "every pipeline has the nine stages in their order",
            "missing-job": "every pipeline has the ten jobs",
            "job-stage": "each of the ten jobs is in its stage",
        },
    ),
    (
        "policy",
        "error",
        {
            "policy-image-registry": "jobs run without the internet: every image comes from the private registry",
            "policy-image-unresolved": "an image that is not known before the pipeline runs cannot be seeded",
            "policy-privileged": "a privileged container owns the machine that runs it",
            "policy-prints-environment": "the environment holds the tokens, and a job's log is read by many",
            "policy-debug-trace": "debug traces print every variable into the job's log",
            "policy-download-to-shell": "what is downloaded at run time was checked by nobody",
            "policy-hidden-command": "a command that is decoded where it runs was read by nobody",
            "policy-secret": "a secret in a file is a secret for everyone who can read the repository",
            "policy-sends-secret": "a secret that is sent to a host outside is no secret any more",
            "policy-protected-variable": "what GitLab or the runner sets decides who may do what; no file changes it",
            "policy-allow-failure": "the gate demands success of every job; one that may fail says nothing",
            "policy-manual-job": "a job that waits for a person, or never runs, keeps the gate shut",
            "policy-include": "what another file brings in was not checked",
            "policy-trigger": "another pipeline is one that nobody checked",
        },
    ),
)
RULES: dict[str, Rule] = {
    rule: Rule(rule, group, severity, reason) for group, severity, reasons in _TABLE for rule, reason in reasons.items()
}


def reason(rule: str) -> str:
    """Why it is a rule."""
    return RULES[rule].reason


def switched_off(text: str) -> frozenset[str]:
    """The ids in a list with commas; ValueError where one is no rule, or none that can be switched off."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    policy = [rule.id for rule in RULES.values() if rule.group == "policy"]
    for name in sorted(names):
        if name not in policy:
            why = "is no rule of the policy, and no other can be switched off" if name in RULES else "is no rule"
            raise ValueError(f"{name!r} {why}; the policy's rules are {', '.join(policy)}")
    return names


def without(findings: Iterable[Finding], disabled: frozenset[str]) -> list[Finding]:
    """The findings whose rules are not switched off."""
    return [finding for finding in findings if finding.rule not in disabled]


def as_markdown() -> str:
    """The table as docs/checker.md has it."""
    rows = [f"| `{rule.id}` | {rule.group} | {rule.severity} | {rule.reason} |" for rule in RULES.values()]
    return "\n".join(["| rule | group | severity | why |", "| --- | --- | --- | --- |", *rows])


if __name__ == "__main__":
    print(as_markdown())  # noqa: T201 - the table for the docs
