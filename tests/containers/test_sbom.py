"""The bill of an image: valid CycloneDX, what is installed and no more, and an alarm where it is not of this lock."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator, JsonValidator

from scripts import images, sbom

SAID = """\
installed libc6:amd64 2.36-9+deb12u14 amd64
installed git 1:2.39.5-0+deb12u3 amd64
config-files perl 5.36.0 amd64

PyYAML 6.0.3
structlog 26.1.0

bookworm
"""
LOCKED = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {"component": {"type": "library", "bom-ref": "own", "name": "greenrun", "version": "0.1.0"}},
    "components": [
        {"type": "library", "bom-ref": "a", "name": "pyyaml", "version": "6.0.3"},
        {"type": "library", "bom-ref": "b", "name": "structlog", "version": "26.1.0"},
        {"type": "library", "bom-ref": "c", "name": "colorama", "version": "0.4"},
    ],
    "dependencies": [{"ref": "b", "dependsOn": ["c"]}, {"ref": "c"}, {"ref": "own", "dependsOn": ["a", "b"]}],
}


def test_a_bill_has_what_is_installed() -> None:
    """What the lock has for other machines, and what Debian has removed, is not there; nothing hangs in the air."""
    bill = sbom.document(LOCKED, sbom.inventory(SAID), "healer", "greenrun/healer:dev")
    assert [one["name"] for one in bill["components"]] == ["greenrun", "pyyaml", "structlog", "libc6", "git"]
    assert bill["components"][-1]["purl"] == "pkg:deb/debian/git@1%3A2.39.5-0%2Bdeb12u3?arch=amd64&distro=bookworm"
    refs = {one["bom-ref"] for one in bill["components"]} | {"image:healer"}
    assert {ref for row in bill["dependencies"] for ref in (row["ref"], *row["dependsOn"])} <= refs
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(bill)) is None


def test_an_image_of_another_lock_is_noticed() -> None:
    """A package that the lock does not have, or not in this version, is named."""
    found = sbom.inventory(SAID)
    with pytest.raises(sbom.NotOfThisLock, match=r"healer has what uv\.lock does not have for it: left-pad 1\.0"):
        sbom.document(LOCKED, replace(found, python=found.python | {("left-pad", "1.0")}), "healer", "x")


@pytest.mark.engine
@pytest.mark.usefixtures("built")
def test_the_bill_of_a_built_image_is_valid(tmp_path: Path) -> None:
    """CycloneDX takes it, and of another image it has what is there: git is in it, its Perl is not."""
    uv = shutil.which("uv") or str(images.ROOT / ".tools" / "bin" / "uv")
    bill = json.loads(sbom.write(tmp_path, uv, "provisioner", images.name("provisioner")).read_text())
    for component in bill["components"]:
        # One file of each package: the schema's grammar of addresses takes long for each, and they are all alike.
        component["externalReferences"] = component.get("externalReferences", [])[:1]
    assert JsonValidator(SchemaVersion.V1_5).validate_str(json.dumps(bill)) is None
    analyzer = json.loads(sbom.write(tmp_path, uv, "analyzer", images.name("analyzer")).read_text())
    names = {one["name"] for one in analyzer["components"]}
    assert {"greenrun", "gitpython", "git", "libc6"} <= names
    assert not {"chromadb", "chromadb-client", "git-man", "liberror-perl"} & names
