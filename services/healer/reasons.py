"""What GitLab and the shell say of a failure without a word of text: `failure_reason` and exit code, as data."""

from __future__ import annotations

# GitLab's own `failure_reason` (CI/CD jobs API); script_failure and the like say nothing about the cause.
_REASONS_BY_CLASS: dict[str, tuple[str, ...]] = {
    "runner_system_failure": (
        "runner_system_failure",
        "runner_configuration_error",
        "runner_external_dependency_failure",
        "runner_interrupted",
        "runner_unsupported",
        "stale_schedule",
        "scheduler_failure",
        "data_integrity_failure",
        "environment_creation_failure",
        "api_failure",
        "job_router_failure",
        "no_updates_running",
        "no_updates_canceling",
        "stuck_pending_with_matching_runners",
        "stuck_pending_no_matching_runners",
        "no_matching_runner",
    ),
    "timeout_error": (
        "stuck_or_timeout_failure",
        "job_execution_timeout",
        "job_execution_server_timeout",
        "server_timeout_running",
        "server_timeout_canceling",
    ),
    "artifact_missing": ("missing_dependency_failure",),
    "image_not_found": ("image_pull_failure",),
    "auth": (
        "forward_deployment_failure",
        "protected_environment_failure",
        "insufficient_bridge_permissions",
        "insufficient_upstream_permissions",
        "secrets_manager_access_denied",
        "secrets_provider_not_found",
        "user_blocked",
        "job_token_expired",
        "ip_restriction_failure",
        "builds_disabled",
        "project_deleted",
        "deployment_rejected",
    ),
    "rate_limit": ("ci_quota_exceeded",),
}
FAILURE_REASONS = {reason: error_class for error_class, reasons in _REASONS_BY_CLASS.items() for reason in reasons}

# What the shell, timeout(1) and the kernel mean by an exit code (POSIX 2.8.2, coreutils); 1 and 2 mean nothing. With
# how sure that is where no line says more: 137 is also a cancelled job.
EXIT_CODES: dict[int, tuple[str, float]] = {
    124: ("timeout_error", 0.6),
    126: ("permission_error", 0.6),
    127: ("missing_command", 0.6),
    137: ("out_of_memory", 0.6),
}
