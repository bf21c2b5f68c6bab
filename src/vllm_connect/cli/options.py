"""The options that commands share, and the client they are for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vllm_connect.client import OpenAI

__all__ = ["Address", "AskKey", "Json", "KeyFile", "Profile", "Url", "arguments", "client"]

Address = Annotated[str | None, typer.Argument(metavar="URL", help="The server's address, in any spelling.")]
Url = Annotated[str | None, typer.Option("--url", help="The same as an option.")]
Profile = Annotated[str | None, typer.Option("--profile", help="A profile of a settings file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="A file that holds the API key.")]
AskKey = Annotated[bool, typer.Option("--ask-key", help="Ask for the API key, without showing it.")]


def arguments(
    address: str | None,
    url: str | None,
    profile: str | None,
    key_file: Path | None = None,
    *,
    ask_key: bool = False,
) -> dict[str, Any]:
    """Return the settings that the command line gives; a key is never one of its values."""
    from vllm_connect.settings import FileKey, PromptKey  # noqa: PLC0415  # imports the SDK

    if address is not None and url is not None:
        raise typer.BadParameter("give the address once, as URL or as --url")
    server = address or url
    key: Any = None
    if key_file is not None:
        key = FileKey(key_file, "--key-file")
    elif ask_key:
        key = PromptKey(server or "the server", "--ask-key")
    return {"base_url": server, "profile": profile, "api_key": key}


def client(given: dict[str, Any]) -> OpenAI:
    """Return a client set up from the command line and what it leaves open."""
    from vllm_connect.client import OpenAI  # noqa: PLC0415  # imports the SDK

    return OpenAI(**given)
