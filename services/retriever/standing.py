"""How templates fared after they were used, as the log tells: pure, one event at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.events import FilesGenerated, PipelineFailed, PipelinePassed, RunFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.events import Event, Proposal

# What tells of a template's standing.
READS = (FilesGenerated, PipelineFailed, PipelinePassed, RunFailed)
# What a failure says of the repository, the runner or a right that is missing, and not of the template.
NOT_ITS_FAULT = frozenset(
    {
        "test_failure",
        "lint_failure",
        "vulnerability_found",
        "auth",
        "rate_limit",
        "runner_system_failure",
        "disk_full",
        "service_connection",
        "tls_network_error",
    }
)


@dataclass
class Standing:
    """The runs in which a template was used as it is: those that it brought to green, those that it did not."""

    passed: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)

    @property
    def failing(self) -> float:
        """The share of failures, between 0 and 1; one more success is assumed, so that one failure is not all."""
        return len(self.failed) / (len(self.failed) + len(self.passed) + 1)


class Standings:
    """The standing of every template that was used; the same event may be told any number of times."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._by_template: dict[str, Standing] = {}
        self._used: dict[str, str] = {}

    def failing(self) -> Mapping[str, float]:
        """Template → share of failures, of those that failed at all."""
        return {name: one.failing for name, one in self._by_template.items() if one.failed}

    def tell(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, RunFailed):
            self._ended(event)
            return
        proposal: Proposal | None = getattr(event, "proposal", None)
        if proposal is None or proposal.template_id is None or proposal.decision != "chromadb-direct":
            return
        if isinstance(event, PipelineFailed):
            self._used[event.run_id] = proposal.template_id
        elif isinstance(event, PipelinePassed) and not _repaired(proposal):
            self._of(proposal.template_id).passed.add(event.run_id)
        elif isinstance(event, FilesGenerated) and _repaired(proposal):
            self._of(proposal.template_id).failed.add(event.run_id)

    def _ended(self, event: RunFailed) -> None:
        """A run that ends with a failed pipeline, and with a failure that is the template's."""
        used = self._used.pop(event.run_id, None)
        if used and event.error_class and event.error_class not in NOT_ITS_FAULT:
            self._of(used).failed.add(event.run_id)

    def _of(self, template_id: str) -> Standing:
        return self._by_template.setdefault(template_id, Standing())


def _repaired(proposal: Proposal) -> bool:
    """Whether its files were changed on the way; a rerun changes nothing."""
    return any(repair.diff for repair in proposal.repairs)
