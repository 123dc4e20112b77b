"""What GitLab's refusals mean for greenrun: Retry or Reject, in words that say what to do."""

from __future__ import annotations

import email.utils
import json
import time
from typing import TYPE_CHECKING

from gitlab.exceptions import GitlabAuthenticationError, GitlabError, RedirectError

from shared.errors import Reject, Retry

if TYPE_CHECKING:
    import requests

REQUEST_TIMEOUT = 408
FORBIDDEN = 403
NOT_FOUND = 404
CONFLICT = 409
TOO_MANY = 429
SERVER_FAULT = 500

# What the token needs (GitLab's permission table; ../shared/reference/gitlab.md).
TO_READ = "the scope read_api and the role Reporter in the project"
TO_COMMIT = "the scope api and the role Developer in the project, and the branch must not be protected against it"
TO_CREATE = "the scope api and the right to create projects in that group"
TO_MERGE = "the scope api and the role Developer in the project"
TO_HOOK = "the scope api and the role Maintainer in the project, which webhooks need"
TO_RETRY = "the scope api and the role Developer in the project"


def slow_down(response: requests.Response, *_args: object, **_kwargs: object) -> None:
    """Raise Retry with the wish of the server where it answers 429; a hook of the session.

    python-gitlab itself would sleep in the thread, repeat POSTs, and stumble over a Retry-After that is a date;
    its errors do not carry the headers.
    """
    if response.status_code == TOO_MANY:
        host = response.url.partition("/api/")[0]
        response.close()
        raise Retry(f"GitLab at {host} asks to slow down", after=retry_after(response.headers.get("Retry-After")))


def retry_after(value: str | None) -> float | None:
    """Seconds from a Retry-After header, a number or an HTTP date (RFC 9110, section 10.2.3); None if unreadable."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def translated(error: GitlabError, url: str, *, needs: str, missing: str) -> Retry | Reject:
    """The error in greenrun's terms; `needs` is what the token must have, `missing` the sentence for a 404."""
    code, words = error.response_code, str(error.error_message)
    if isinstance(error, RedirectError):
        return Reject(f"GitLab at {url} redirects; set GITLAB_URL to the address that it names", evidence=words)
    if code is None or code >= SERVER_FAULT or code == REQUEST_TIMEOUT:
        return Retry(f"GitLab at {url} answers {code or 'nothing usable'}: {words[:200]}")
    if isinstance(error, GitlabAuthenticationError):
        return Reject(f"GitLab at {url} does not take the token; set GITLAB_TOKEN to a valid one", evidence=words)
    if code == FORBIDDEN:
        return Reject(f"GitLab at {url} refuses the token: it needs {_scope(error) or needs}", evidence=words)
    if code == NOT_FOUND:
        return Reject(missing or f"GitLab at {url} does not find it, or the token lacks {needs}", evidence=words)
    return Reject(f"GitLab at {url} refuses: {words}", evidence=words)


def _scope(error: GitlabError) -> str:
    """The scope that GitLab itself says is missing, as a phrase; empty where it names none."""
    try:
        body = json.loads(error.response_body or b"")
    except ValueError:
        return ""
    scope = body.get("scope") if isinstance(body, dict) and body.get("error") == "insufficient_scope" else None
    return f"the scope {scope}" if scope else ""
