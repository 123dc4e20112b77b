"""The words that GitLab knows at each place of a `.gitlab-ci.yml`."""

GLOBALS = frozenset(
    [
        "default",
        "include",
        "stages",
        "variables",
        "workflow",
        "image",
        "services",
        "before_script",
        "after_script",
        "cache",
    ]
)
INHERITED = frozenset(
    [
        "image",
        "services",
        "before_script",
        "after_script",
        "hooks",
        "cache",
        "retry",
        "timeout",
        "interruptible",
        "tags",
        "artifacts",
        "id_tokens",
        "identity",
    ]
)
JOB_KEYS = INHERITED | frozenset(
    [
        "script",
        "stage",
        "extends",
        "only",
        "except",
        "rules",
        "variables",
        "inherit",
        "allow_failure",
        "when",
        "needs",
        "dependencies",
        "environment",
        "coverage",
        "parallel",
        "resource_group",
        "release",
        "secrets",
        "start_in",
        "trigger",
        "run",
        "pages",
        "publish",
        "dast_configuration",
        "manual_confirmation",
        "inputs",
        "type",
        "description",
    ]
)
ARTIFACT_KEYS = frozenset(
    ["name", "untracked", "paths", "reports", "when", "expire_in", "expose_as", "exclude", "public", "access"]
)
RULE_KEYS = frozenset(
    ["if", "exists", "when", "start_in", "allow_failure", "changes", "variables", "needs", "interruptible"]
)
WHENS = ("on_success", "on_failure", "always", "manual", "delayed")
RETRY_WHENS = frozenset(
    [
        "always",
        "unknown_failure",
        "script_failure",
        "api_failure",
        "stuck_or_timeout_failure",
        "runner_system_failure",
        "runner_unsupported",
        "runner_configuration_error",
        "runner_external_dependency_failure",
        "runner_interrupted",
        "missing_dependency_failure",
        "stale_schedule",
        "job_execution_timeout",
        "job_execution_server_timeout",
        "archived_failure",
        "unmet_prerequisites",
        "scheduler_failure",
        "data_integrity_failure",
    ]
)
IMAGE_KEYS = frozenset(
    ["name", "entrypoint", "command", "alias", "ports", "variables", "pull_policy", "docker", "kubernetes"]
)
NEED_KEYS = frozenset(["job", "artifacts", "optional", "parallel", "project", "ref", "pipeline"])
