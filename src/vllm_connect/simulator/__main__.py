"""`python -m vllm_connect.simulator`: serve until told to stop."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from vllm_connect.simulator.hosts import serve_controlled
from vllm_connect.simulator.options import OPTIONS, Option
from vllm_connect.simulator.server import Simulator

_COMMAND_LINE: Final = tuple(option for option in OPTIONS if option.on_command_line)
_DEFAULTS: Final = {option.name: option.default for option in OPTIONS}


def main() -> None:
    """Serve from the command line until SIGINT or SIGTERM, or as the process of an owner that controls it."""
    if sys.argv[1:] == ["--controlled"]:
        with open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as stdout:
            serve_controlled(sys.stdin.buffer, stdout.write)
        return
    parser = _parser()
    arguments = vars(parser.parse_args())
    key_file = arguments.pop("api_key_file")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        options = {**_DEFAULTS, **_from_environment(os.environ), **arguments}
        if key_file:
            options["api_key"] = Path(key_file).read_text(encoding="utf-8").strip()
        server = Simulator(**options).start()
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with server:
        print(server.url, flush=True)  # noqa: T201 - the address is the output
        stopped.wait()


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        option.name: option.read(environ[option.variable])
        for option in OPTIONS
        if option.variable and environ.get(option.variable)
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vllm_connect.simulator",
        description="A stand-in vLLM server. The key it asks for comes from VLLM_API_KEY or a file.",
        # What is not given is left out, so that the environment and then the defaults count.
        argument_default=argparse.SUPPRESS,
    )
    for option in _COMMAND_LINE:
        parser.add_argument(option.flag, help=option.help, **_reading(option))
    parser.add_argument(
        "--api-key-file", default=None, metavar="FILE", help="a file with the key it asks for"
    )
    return parser


def _reading(option: Option) -> dict[str, Any]:
    if option.value_type is bool:
        return {"action": argparse.BooleanOptionalAction}
    if option.shape == "pairs":
        return {"action": _Pairs, "nargs": "+", "metavar": option.unit}
    many = {"nargs": "+"} if option.shape == "many" else {}
    if option.choices:
        return {"choices": option.choices, **many}
    return {"type": option.read, "metavar": option.unit or option.value_type.__name__.upper(), **many}


class _Pairs(argparse.Action):
    """NAME=VALUE, any number of them, as a mapping."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002 - argparse's signature
    ) -> None:
        pairs = [value.partition("=") for value in values]
        if not all(name and equals for name, equals, _ in pairs):
            parser.error(f"argument {self.option_strings[0]}: expected NAME=VALUE")
        setattr(namespace, self.dest, {name: value for name, _, value in pairs})


if __name__ == "__main__":
    main()
