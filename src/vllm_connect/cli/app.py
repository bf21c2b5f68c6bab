"""The commands put together, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
import warnings

import typer

from vllm_connect.cli import config, demo, models, simulator, wait
from vllm_connect.cli.terminal import shown

__all__ = ["main"]

app = typer.Typer(
    name="vllm-connect",
    help="The client side of vLLM: set up, look, wait, try.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (demo.demo, config.config, models.models, wait.wait, simulator.simulator):
    app.command()(command)


def main() -> None:
    """Run one command; exit code 0 only for success, 1 for a failure, 2 for a wrong command line."""
    warnings.showwarning = _warn
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader (`| head`) has gone; the interpreter must not complain at its end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        from openai import OpenAIError  # noqa: PLC0415  # half a second that `--help` must not pay

        if not isinstance(error, OpenAIError):
            raise
        print(f"vllm-connect: {shown(str(error))}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _warn(message: Warning | str, *_place: object, **_more: object) -> None:
    print(f"vllm-connect: warning: {shown(str(message))}", file=sys.stderr)  # noqa: T201
