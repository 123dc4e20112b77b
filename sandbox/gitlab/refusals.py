"""What GitLab answers where it does not do what was asked: its status and its words.

Refusal
├── Refused       400 unless told otherwise: it cannot be done
├── Invalid       400 in the words of the framework below GitLab: a parameter is missing or has no valid value
├── Unauthorized  401: nobody that GitLab knows
├── Forbidden     403: somebody, but without the right
└── NotFound      404: it does not exist, or this caller does not see it
"""

from __future__ import annotations

from typing import Any


class Refusal(Exception):  # noqa: N818 - not every answer of this kind is an error
    """An answer other than success: the HTTP status and the document."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        """With both."""
        super().__init__(str(document))
        self.status = status
        self.document = document


class Refused(Refusal):
    """It cannot be done; `message` is GitLab's, a sentence or sentences by field."""

    def __init__(self, message: Any, status: int = 400) -> None:
        """With another status where GitLab has one."""
        super().__init__(status, {"message": message})


class Invalid(Refusal):
    """A parameter is missing or has no valid value."""

    def __init__(self, error: str) -> None:
        """The text says which."""
        super().__init__(400, {"error": error})


class Unauthorized(Refusal):
    """Nobody that GitLab knows."""

    def __init__(self, **document: str) -> None:
        """`401 Unauthorized` unless the token was known once."""
        super().__init__(401, document or {"message": "401 Unauthorized"})


class Forbidden(Refusal):
    """Somebody, but without the right."""

    def __init__(self, message: str = "403 Forbidden", **document: str) -> None:
        """With GitLab's sentence, or a document of another form."""
        super().__init__(403, document or {"message": message})


class NotFound(Refusal):
    """What was asked for does not exist, or this caller does not see it."""

    def __init__(self, kind: str = "") -> None:
        """`kind` is what GitLab names in its answer."""
        super().__init__(404, {"message": " ".join(f"404 {kind} Not Found".split())})
