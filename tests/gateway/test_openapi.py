"""The OpenAPI document is true: asked by a machine for everything in it, the API answers as it says."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from jsonschema import Draft202012Validator

from services.gateway import openapi
from services.gateway.routes import ENDPOINTS
from shared.events import new_run_id
from tests.gateway.conftest import TOKEN, Api
from tests.gateway.story import healed

# Templates need Chroma and an analysis an analyzer: those are asked in the tests of the whole system.
CONFIG = """
[generation]
max-examples = 5
[phases.stateful]
enabled = false
[[operations]]
include-path-regex = "/api/v1/(analysis|templates.*)"
enabled = false
"""
# A schema cannot say what git takes as a branch, or that an address carries no password: 422 says it.
BEYOND_A_SCHEMA = "positive_data_acceptance"


def test_it_is_served_and_names_every_endpoint() -> None:
    """Each with its role, its parameters and problem details for what goes wrong."""
    document = openapi.document()
    assert document["openapi"] == "3.1.0"
    assert {(e.method.lower(), e.path) for e in ENDPOINTS} == {
        (method, path) for path, operations in document["paths"].items() for method in operations
    }
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    submit = document["paths"]["/api/v1/pipeline/workflow"]["post"]
    assert submit["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Workflow")
    assert "submitter" in submit["description"]


async def test_a_machine_that_asks_for_everything_finds_nothing_untrue(api: Api, tmp_path: Path) -> None:
    """schemathesis: right and wrong requests, each answered with a status, a type and a body that the document has."""
    await api.happened(healed(new_run_id()))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{api.client.base_url}/api/v1/openapi.json"),
        *("-H", f"Authorization: Bearer {TOKEN}", "--request-timeout", "10", "--no-color"),
        *("--exclude-checks", BEYOND_A_SCHEMA),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, output.decode()[-6000:]
