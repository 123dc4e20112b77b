"""What was tried before the files were there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.events import Round


@dataclass
class Story:
    """Notes for people, and every question to the model; both enter the event."""

    notes: list[str] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
