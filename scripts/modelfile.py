"""Write ollama/Modelfile from the generator's system prompt; with --check only say whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from services.generator import prompts  # noqa: E402 - the path comes first
from shared.settings import ModelSettings  # noqa: E402

BASE = "qwen3:32b"
MODELFILE = ROOT / "ollama" / "Modelfile"


def modelfile() -> str:
    """The text: the base model, the context and temperature that greenrun asks for, and the system prompt."""
    # The defaults, whatever the environment of this moment says.
    known = {name: field.default for name, field in ModelSettings.model_fields.items()}
    name = known["ollama_model"]
    return "\n".join(
        [
            f"# The model {name}: ollama create {name} -f ollama/Modelfile",
            f"# Made by scripts/modelfile.py from the prompt of version {prompts.VERSION}.",
            f"FROM {BASE}",
            f"PARAMETER num_ctx {known['ollama_num_ctx']}",
            f"PARAMETER num_predict {known['llm_max_tokens']}",
            "PARAMETER temperature 0",
            f'SYSTEM """{prompts.SYSTEM.strip()}"""',
            "",
        ]
    )


def main() -> int:
    """0 where the file is (now) what it should be."""
    if "--check" not in sys.argv:
        MODELFILE.parent.mkdir(exist_ok=True)
        MODELFILE.write_text(modelfile())
        return 0
    if MODELFILE.is_file() and MODELFILE.read_text() == modelfile():
        return 0
    sys.stderr.write("ollama/Modelfile is not that of the prompt; run: make modelfile\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
