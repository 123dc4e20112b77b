"""The reader of shell scripts against `bash -n`, the judge."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ci.shell import objection

BASH = shutil.which("bash")
GOOD = r"""set -euo pipefail
f() { local a="$1"; echo "${a%%.*}" "$(basename "$a" .txt)"; }
for i in 1 2 "3 4"; do f "$i" || continue; done
if [ -f x ] && ! grep -q "it's" x; then cat x; elif true; then :; else echo 'no'; fi
case "$1" in
  a|b) echo "a or b" ;;
  (c*) { echo c; } ;;
  *) exit 1
esac
while read -r line; do echo "$line"; done < <(printf '%s\n' a b)
cat <<EOF | tee out
$(date) `hostname` ${HOME:-/root}
EOF
x=$(( (1 + 2) * 3 )); arr=(a "b c" $(ls)); echo ${arr[@]} $((x << 2))
[[ $x =~ ^(1|2)$ || -z "$y" ]] && (cd /tmp; ls) >/dev/null 2>&1 &
until false; do break; done; ((x++)) || true; echo $$ "$$" $${x "$${"
echo "a $(echo "b $(echo 'c)')")" # a (comment
"""


@pytest.mark.parametrize(
    "script",
    [
        "if true; then x",
        "if true then x; fi",
        "for i in a b; echo $i; done",
        "while true; echo; done",
        "echo 'a",
        'echo "a',
        "echo `a",
        "echo $(a",
        "echo ${a",
        "a &&",
        "| a",
        "a ;; b",
        "(a",
        "a)",
        "{ a",
        "fi",
        "done",
        "esac",
        "else a",
        "case x in a) b ;;",
        "case x a) b ;; esac",
        "if a; then; fi",
        "if a; then fi",
        "echo a (b)",
        "echo a > ",
        "[[ a == b",
        "f() { a",
        "a || || b",
        "do a; done",
    ],
)
def test_what_bash_refuses_is_refused(script: str) -> None:
    """Each has a sentence; bash is of the same mind."""
    assert objection(script)
    if BASH:
        assert subprocess.run([BASH, "-n"], input=script, text=True, capture_output=True, check=False).returncode


def test_a_coprocess_is_left_alone() -> None:
    """Bash knows it, sh does not."""
    assert objection("coproc { cat; }\necho x") is None


def test_a_script_with_everything_is_read() -> None:
    """Functions, loops, heredocs, substitutions, tests and arithmetic; bash is of the same mind."""
    assert objection(GOOD) is None
    if BASH:
        assert subprocess.run([BASH, "-n"], input=GOOD, text=True, check=False).returncode == 0


@pytest.mark.skipif(BASH is None, reason="bash is not installed")
def test_no_script_of_this_system_is_a_false_alarm() -> None:
    """Whatever shell script stands in the system's folders and bash reads, is read."""
    alarms = []
    for folder in ("/usr/bin", "/usr/sbin", "/etc/init.d", "/var/lib/dpkg/info"):
        for path in sorted(Path(folder).glob("*"))[:2000] if Path(folder).is_dir() else []:
            text = _script(path)
            if text and objection(text) and not subprocess.run([BASH or "", "-n", path], check=False).returncode:
                alarms.append(str(path))
    assert alarms == []


def test_of_damages_nearly_all_that_bash_refuses_is_found() -> None:
    """One sign more or less in a good script: no false alarm, and of what bash refuses nine in ten are found."""
    if BASH is None:
        pytest.skip("bash is not installed")
    chosen, signs = random.Random(7), ['"', "'", "(", ")", "`", "{", ";", "|", "fi ", "done "]
    found = refused = 0
    for _ in range(150):
        place = chosen.randrange(len(GOOD))
        broken = GOOD[:place] + chosen.choice(["", *signs]) + GOOD[place + chosen.randint(0, 1) :]
        bad = subprocess.run([BASH, "-n"], input=broken, text=True, capture_output=True, check=False).returncode
        assert bad or not objection(broken), broken
        refused, found = refused + bool(bad), found + bool(bad and objection(broken))
    assert refused > 20
    assert found >= 0.9 * refused


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="if then;fi do done()[]{}$`'\"\\|&<>#\n a=", max_size=80))
def test_no_text_is_a_crash(text: str) -> None:
    """Whatever stands there, the answer is an objection on one of its lines, or none."""
    wrong = objection(text)
    assert wrong is None or 0 <= wrong.line <= text.count("\n")


def _script(path: Path) -> str:
    try:
        data = path.read_bytes()[:200_000] if path.is_file() and not path.is_symlink() else b""
        first = data[:60].split(b"\n")[0]
        return data.decode() if first.startswith(b"#!") and first.endswith(b"sh") else ""
    except (OSError, UnicodeDecodeError):
        return ""
