"""The commands put together, and the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from typing import Annotated

import typer

from vllm_connect.cli import (
    chat,
    complete,
    config,
    demo,
    doctor,
    embed,
    info,
    migrate,
    models,
    simulator,
    tokenize,
    wait,
)
from vllm_connect.cli.failure import Failure, told
from vllm_connect.cli.terminal import complain

__all__ = ["app", "main"]

TRACEBACK = "VLLMCONNECT_TRACEBACK"
# Each command, and a line or two that show it at work.
COMMANDS = (
    (demo.demo, ("vllm-connect demo",)),
    (config.config, ("vllm-connect config --profile prod",)),
    (doctor.doctor, ("vllm-connect doctor gpu1:8000",)),
    (wait.wait, ("vllm-connect wait gpu1:8000 --timeout 900 && ./evaluate",)),
    (models.models, ("vllm-connect models https://llm.example.com --key-file key.txt",)),
    (info.info, ("vllm-connect info gpu1:8000",)),
    (
        chat.chat,
        (
            "vllm-connect chat gpu1:8000 --system 'Answer in one sentence.'",
            "git diff | vllm-connect chat -q 'Write a commit message.' -o temperature=0",
        ),
    ),
    (complete.complete, ("vllm-connect complete -q 'def fibonacci(n):' --max-tokens 64 --stats",)),
    (embed.embed, ("vllm-connect embed --file documents.jsonl --field text > vectors.jsonl",)),
    (tokenize.tokenize, ("vllm-connect tokenize --text 'How many tokens is this?'",)),
    (
        migrate.migrate,
        (
            "vllm-connect migrate src tests --model-map gpt-4o=qwen",
            "vllm-connect migrate . --write && git diff",
            "vllm-connect migrate --shadow requests.jsonl --from https://api.openai.com/v1 --to http://gpu1:8000",
        ),
    ),
    (
        simulator.simulator,
        ("vllm-connect simulator --model my-model --reasoning-parser qwen3 --token-delay 0.02",),
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from vllm_connect import __version__  # noqa: PLC0415

        typer.echo(f"vllm-connect {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
]

app = typer.Typer(
    name="vllm-connect",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def _vllm_connect(version: Version = False) -> None:
    """The client side of vLLM: set up, look, wait, try."""


for _command, _examples in COMMANDS:
    # The mark keeps each example on a line of its own.
    app.command(
        cls=simulator.SimulatorCommand if _command is simulator.simulator else None,
        epilog="\b\nFor example:\n" + "\n".join(f"  {line}" for line in _examples),
    )(_command)


def main() -> None:
    """Run one command.

    Exit code 0 only for success, 1 for a failure, 2 for a wrong command line, 130 for Ctrl-C.
    """
    warnings.showwarning = _warn
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # to the end of the process
    for stream in (sys.stdout, sys.stderr):
        # A text that the locale cannot write is written as far as it can be.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    sys.exit(_flushed(_exit_code()))


def _exit_code() -> int:
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:  # noqa: BLE001  # the last place that can say it in a line
        _tell(error)
        return 1
    return 0


def _tell(error: Exception) -> None:
    from openai import OpenAIError  # noqa: PLC0415  # half a second that `--help` must not pay

    wants_traceback = bool(os.environ.get(TRACEBACK))
    if wants_traceback:
        traceback.print_exception(error)
    if isinstance(error, OpenAIError | Failure):
        complain(told(error))
        return
    more = "" if wants_traceback else f" with what {TRACEBACK}=1 shows"
    if isinstance(error, OSError):
        complain(f"{error.strerror or error}{'' if error.filename is None else f': {error.filename}'}")
        return
    complain(f"a bug in vllm-connect: {type(error).__name__}: {error}. Please open an issue{more}.")


def _flushed(code: int) -> int:
    """Return the exit code, 1 where the output cannot be written; quietly where its reader (`| head`) has gone."""
    try:
        sys.stdout.flush()
    except OSError as cause:
        # What failed while the command ran has been told; its rest in the buffer fails again.
        if code == 0 and not isinstance(cause, BrokenPipeError):
            _tell(cause)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or 1
    return code


def _warn(message: Warning | str, *_place: object, **_more: object) -> None:
    complain(f"warning: {message}")
