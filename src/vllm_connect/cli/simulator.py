"""`vllm-connect simulator`: a stand-in server to try things on."""

from __future__ import annotations

import contextlib
import inspect
import json as json_format
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from vllm_connect.cli.failure import Failure
from vllm_connect.cli.terminal import shown, write

if TYPE_CHECKING:
    from vllm_connect.simulator.options import Option

__all__ = ["SimulatorCommand", "simulator"]

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", metavar="FILE", help="A file that holds the key it asks for; else VLLM_API_KEY is read."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print its address as one line of JSON.")]


def simulator() -> None:
    """Run a stand-in vLLM server on this machine.

    It answers like vLLM, without a GPU or a model, until it is interrupted.
    """


class SimulatorCommand(TyperCommand):
    """The command with the simulator's own list of options, read when this is the command that is run.

    It takes a quarter of a second, which the help of other commands must not pay.
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments with a command that has all options."""
        complete = typer.Typer(add_completion=False, rich_markup_mode=None)
        complete.command(help=self.help, epilog=self.epilog)(_with_options())
        command = typer.main.get_command(complete)
        return command.make_context(info_name, args, parent, **extra)


def _with_options() -> Any:
    """Return the command as a function whose signature, which typer reads, has every option of the simulator."""
    from vllm_connect.simulator.options import OPTIONS  # noqa: PLC0415

    offered = [option for option in OPTIONS if option.on_command_line]

    def run(key_file: Path | None, *, json: bool, **given: Any) -> None:
        options = {option.name: _value(option, given[option.name]) for option in offered}
        _serve({**options, "api_key": _key(key_file)}, json=json)

    own = [_parameter("key_file", KeyFile, None), _parameter("json", Json, default=False)]
    parameters = [*map(_option_parameter, offered), *own]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect's own hook
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _option_parameter(option: Option) -> inspect.Parameter:
    kind: Any = Literal[option.choices] if option.choices else option.value_type
    default = option.default
    if option.shape != "one":
        kind, default = list[str], list(option.default or ())
    flags = [option.flag]
    if option.variable and option.value_type is bool:
        # What the environment switches on, the command line can switch off.
        flags = [f"{option.flag}/--no-{option.flag.removeprefix('--')}"]
    elif option.shape == "many":
        flags = [option.flag, option.flag.removesuffix("s")]
    unit = "|".join(option.choices) or option.unit or option.value_type.__name__.upper()
    many = "" if option.shape == "one" else " Repeatable."
    declared = typer.Option(
        *flags,
        metavar=None if option.value_type is bool else unit,
        help=f"{option.help[0].upper()}{option.help[1:]}.{many}",
        envvar=option.variable,
        show_envvar=True,
        min=option.least,
        max=option.most,
        show_default=bool(default) and option.value_type is not bool,
    )
    return _parameter(option.name, Annotated[kind | None if option.optional else kind, declared], default)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _value(option: Option, given: Any) -> Any:
    """Return what was given as the simulator takes it."""
    if option.shape == "pairs":
        pairs = [text.partition("=") for text in given]
        if not all(name and equals for name, equals, _ in pairs):
            raise typer.BadParameter(f"{option.flag} takes {option.unit}")
        return {name: value for name, _, value in pairs}
    if option.shape == "many":
        return tuple(map(option.read, given)) or option.default
    return option.read(given) if isinstance(given, str) else given


def _key(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get("VLLM_API_KEY") or None
    try:
        return file.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as cause:
        raise Failure(f"the key file {file} cannot be read: {cause}") from None


def _serve(options: dict[str, Any], *, json: bool) -> None:
    from vllm_connect.simulator import Simulator  # noqa: PLC0415

    try:
        server = Simulator(**options).start()
    except ValueError as problem:
        raise typer.BadParameter(str(problem)) from None
    except OSError as cause:
        raise Failure(f"the stand-in server cannot start: {cause.strerror or cause}") from None
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with server:
        about = {"url": server.url, "kind": server.options.kind, "models": server.options.models}
        names = ", ".join(server.options.models)
        line = f"{server.url} serves {names} ({server.options.kind}); Ctrl-C ends it"
        write(f"{json_format.dumps(about) if json else shown(line)}\n")
        with contextlib.suppress(KeyboardInterrupt):
            ended.wait()
