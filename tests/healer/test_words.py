"""The table of classes against what many tools really print."""

from __future__ import annotations

import pytest

from services.healer.classify import classify_text
from services.healer.table import TABLE
from tests.healer.words import framed, words

# Ends of logs in which nothing failed but a word of the table appears: what the job itself failed of stands last.
INNOCENT = (
    ("found 12 vulnerabilities (4 moderate, 7 high, 1 critical)\n$ npm test\n  1 failing", "test_failure"),
    ("npm WARN EBADENGINE Unsupported engine\n$ npm test\nTests:       1 failed, 2 passed, 3 total", "test_failure"),
    ("[INFO] --- maven-checkstyle-plugin:3.1.2:check (style) @ app ---\n[ERROR] COMPILATION ERROR :", "build_failure"),
    ("[INFO] --- maven-surefire-plugin:3.1:test (test) @ app ---\n[ERROR] COMPILATION ERROR :", "build_failure"),
    ("WARN Connection reset by peer\nFAILED (errors=1)", "test_failure"),
    ("E   ModuleNotFoundError: No module named 'app'\n==== 1 error in 0.12s ====", "test_failure"),
    ("ModuleNotFoundError: No module named 'app'", "build_failure"),
    ("-XX:+HeapDumpOnOutOfMemoryError\nerror TS2322: no", "build_failure"),
    ("  ✓ reset password: invalid token\nok 3 - connection refused\n--- PASS: TestTimedOut (0.00s)", "unknown"),
    ('info fsevents@2.1.0: The platform "linux" is incompatible with this module.', "unknown"),
    ("$ pnpm install --frozen-lockfile\nbash: line 150: pnpm: command not found", "missing_command"),
    ("$ curl --fail https://example.org || echo timed out", "unknown"),
    ("  Downloading async_timeout-4.0.2-py3-none-any.whl (5.8 kB)", "unknown"),
    ("reading puretls-1.1.jar; error in opening", "unknown"),
    ("0 vulnerabilities\nall good", "unknown"),
    ("Your code has been rated at 10.00/10", "unknown"),
    ("12 examples, 0 failures", "unknown"),
    ("Tests run: 10, Failures: 0, Errors: 0, Skipped: 0", "unknown"),
    ("test result: ok. 3 passed; 0 failed; 0 ignored", "unknown"),
    ("====== 12 passed in 0.10s ======", "unknown"),
    ("✔ 10 tests passed", "unknown"),
    ("0 errors, 0 warnings", "unknown"),
    ("Checking cache for a1b2...\nWARNING: file does not exist\nFailed to extract cache", "unknown"),
)


@pytest.mark.parametrize(("expected", "case"), words())
def test_a_tools_own_words_give_the_class(expected: str, case: str) -> None:
    """The class of what the tool prints, inside GitLab's frame; the evidence is one of its lines."""
    found = classify_text(framed(case), job="build")
    assert found.error_class == expected, found
    assert found.evidence.text.strip() in case
    assert found.section == "step_script"


@pytest.mark.parametrize(("case", "expected"), INNOCENT)
def test_a_word_that_explains_nothing_is_not_the_cause(case: str, expected: str) -> None:
    """Summaries without a failure, warnings and names of options do not decide."""
    assert classify_text(framed(case)).error_class == expected


def test_buildkits_numbers_hide_no_word() -> None:
    """A line of a step in an image build is read without the step's number and seconds."""
    for line in ("#16 87.95 npm error code ERESOLVE", "87.95 npm error code ERESOLVE"):
        assert classify_text(framed(line)).evidence.text == "npm error code ERESOLVE"


def test_every_alternative_of_the_table_is_a_word_of_its_own() -> None:
    """No pattern matches a line of nothing, and none stands twice for the same class."""
    said = [(row.error_class, word) for row in TABLE for word in row.words]
    assert len(said) == len(set(said))
    assert [row.error_class for row in TABLE if row.pattern.search("") or row.pattern.search("all is well")] == []
