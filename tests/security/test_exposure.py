"""Which service is told which secret: the settings, the folder of secrets and the documentation say the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenrun.exposure import OF_NATS, secrets_of, table
from greenrun.secrets import FROM_OUTSIDE, OWN_TOKENS
from shared.permissions import PROVISIONER, SERVICES, USERS, permissions

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "security.md").read_text()
# Each secret, and the services without which nothing would use it.
NEEDED_BY = {
    "gitlab_token": {"analyzer", "committer", "monitor"},
    "registry_password": {"seeder", "healer"},
    "openai_api_key": {"generator", "healer"},
    "gateway_token": {"gateway"},
    "webhook_secret": {"gateway"},
}


@pytest.mark.parametrize("service", [*SERVICES, PROVISIONER])
def test_a_service_is_told_what_it_needs_and_no_more(service: str) -> None:
    """A setting that is inherited along with others would spread a secret unseen."""
    needed = {name for name, services in NEEDED_BY.items() if service in services}
    assert secrets_of(service) == needed | OF_NATS


def test_the_folder_of_secrets_has_every_one() -> None:
    """What greenrun makes itself and what comes from outside are together what any service is told."""
    assert set().union(*map(secrets_of, SERVICES)) - OF_NATS == {*OWN_TOKENS, *FROM_OUTSIDE}


def test_the_documentation_has_the_table() -> None:
    """`python -m greenrun.exposure` prints it."""
    assert "\n".join(table()) in DOCUMENT


def test_every_test_that_the_documentation_names_is_there() -> None:
    """A threat that is said to be met is met by a test that runs."""
    named = {word.strip("`,.;|") for word in DOCUMENT.split() if "::test_" in word}
    assert len(named) > 20
    missing = [
        name
        for name in named
        if not (ROOT / name.split("::")[0]).is_file()
        or f"def {name.split('::')[1]}(" not in (ROOT / name.split("::")[0]).read_text()
    ]
    assert missing == []


def test_no_user_may_do_anything_with_a_wildcard_at_the_front() -> None:
    """A right begins with a literal token: `>` or `*.…` would be a right to everything."""
    subjects = [subject for row in permissions() for subject in (*row.publish, *row.subscribe)]
    assert len(permissions()) == len(USERS)
    assert [subject for subject in subjects if subject.split(".")[0] in {"*", ">"}] == []
