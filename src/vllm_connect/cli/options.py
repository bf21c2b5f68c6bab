"""The options that commands share, and the client they are for."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from vllm_connect.cli.incoming import checked

if TYPE_CHECKING:
    from vllm_connect.client import OpenAI

__all__ = ["Connection", "Json", "MaxTokens", "Model", "Options", "Stats", "Timeout", "connecting"]

P = ParamSpec("P")

Address = Annotated[str | None, typer.Argument(metavar="URL", help="The server's address, in any spelling.")]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="The server's address, as an option.")]
Profile = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="A profile of a settings file.")
]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="A file that holds the API key.")
]
AskKey = Annotated[bool, typer.Option("--ask-key", help="Ask for the API key, without showing it.")]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="The served model; may be left out where there is one."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0,
        help="For a whole answer; for one that streams, to its start and between its pieces.",
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--option",
        metavar="KEY=VALUE",
        help="A parameter of the request, OpenAI's or vLLM's; the value is JSON, else text. Repeatable.",
    ),
]

MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", metavar="N", min=1, help="The most tokens of an answer.")
]
Stats = Annotated[bool, typer.Option("--stats", help="Say on stderr how fast the answer came.")]


@dataclass(frozen=True)
class Connection:
    """Which server the command line names, and where its key is; everything else is left to the settings."""

    address: str | None = None
    profile: str | None = None
    key_file: Path | None = None
    ask_key: bool = False

    def settings(self) -> dict[str, Any]:
        """Return the settings that the command line gives; a key is never one of its values."""
        from vllm_connect.settings import FileKey, PromptKey  # noqa: PLC0415  # imports the SDK

        key: Any = None
        if self.key_file is not None:
            key = FileKey(self.key_file, "--key-file")
        elif self.ask_key:
            key = PromptKey(self.address or "the server", "--ask-key")
        return {"base_url": self.address, "profile": self.profile, "api_key": key}

    def client(self, *, model: str | None = None, timeout: float | None = None) -> OpenAI:
        """Return a client set up from the command line and what it leaves open."""
        from vllm_connect.client import OpenAI  # noqa: PLC0415  # imports the SDK

        timers: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        named = None if model is None else checked(model, "--model")
        return OpenAI(**self.settings(), model=named, **timers)


def connecting(command: Callable[Concatenate[Connection, P], None]) -> Callable[..., None]:
    """Give a command the address argument and the options of a connection, after its own.

    typer reads a command's signature: the one it is given here has them in place of `connection`.
    """

    @functools.wraps(command)
    def connected(**given: Any) -> None:
        common = {name: given.pop(name) for name in _COMMON}
        command(_connection(**common), **given)  # type: ignore[call-arg]  # what typer read from its signature

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in _COMMON.items()
    ]
    parameters = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *common]
    connected.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect's own hook
    connected.__annotations__ = {one.name: one.annotation for one in parameters}
    return connected


_COMMON: dict[str, tuple[Any, Any]] = {
    "address": (Address, None),
    "url": (Url, None),
    "profile": (Profile, None),
    "key_file": (KeyFile, None),
    "ask_key": (AskKey, False),
}


def _connection(
    address: str | None, url: str | None, profile: str | None, key_file: Path | None, *, ask_key: bool
) -> Connection:
    if address is not None and url is not None:
        raise typer.BadParameter("give the address once, as URL or as --url")
    if key_file is not None and ask_key:
        raise typer.BadParameter("give the key once, by --key-file or --ask-key")
    return Connection(address or url, profile, key_file, ask_key)
