"""`python -m vllm_connect.simulator`: serve until told to stop."""

import argparse
import signal
import threading

from vllm_connect.simulator.server import Simulator


def main() -> None:
    """Serve from the command line until SIGINT or SIGTERM."""
    arguments = vars(_parser().parse_args())
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with Simulator(**{**arguments, "models": tuple(arguments["models"])}) as server:
        print(server.url, flush=True)  # noqa: T201 - the address is the output
        stopped.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vllm_connect.simulator", description="A stand-in vLLM server."
    )
    add = parser.add_argument
    add("--kind", choices=("generate", "pooling"), default="generate", help="which task it serves")
    add("--models", nargs="+", default=["sim-model"], metavar="NAME", help="served names, the first leads")
    add("--root-path", default="", help="a prefix under which it answers, too")
    add("--max-model-len", type=int, default=4096, help="tokens of context")
    add("--dimensions", type=int, default=384, help="length of an embedding")
    add("--first-token-delay", type=float, default=0.0, metavar="SECONDS", help="before the first token")
    add("--token-delay", type=float, default=0.0, metavar="SECONDS", help="between tokens")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=8000, help="port to listen on; 0 for any")
    add("--uds", help="a unix socket to listen on instead")
    add("--version", default="0.32.0", help="the vLLM version it claims to be")
    add("--reasoning-parser", help="reason before answering")
    add("--max-num-queued-reqs", type=int, help="sequences under way before it answers 503")
    add("--dev-mode", action="store_true", help="serve /sleep, /wake_up and /is_sleeping")
    return parser


if __name__ == "__main__":
    main()
