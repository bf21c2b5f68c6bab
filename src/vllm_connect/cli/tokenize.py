"""`vllm-connect tokenize`: what a text is to a model."""

from __future__ import annotations

import itertools
import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vllm_connect.cli.incoming import checked, piped_text, prompt_text
from vllm_connect.cli.options import Connection, Json, Model, Options, Timeout, connecting
from vllm_connect.cli.parameters import parse_options
from vllm_connect.cli.terminal import print_json, print_table

if TYPE_CHECKING:
    from vllm_connect.client.server import Tokenization

__all__ = ["tokenize"]

Text = Annotated[str | None, typer.Option("--text", metavar="TEXT", help="The text; else stdin is read.")]
Messages = Annotated[
    str | None,
    typer.Option(
        "--messages",
        metavar="JSON|@FILE",
        help="A conversation in its place, as the chat template writes it.",
    ),
]


@connecting
def tokenize(
    connection: Connection,
    text: Text = None,
    messages: Messages = None,
    model: Model = None,
    option: Options = None,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Show the tokens of a text, or of a conversation.

    Their number, ids and pieces of text, and how many the model's context holds.
    """
    from vllm_connect.cli.asking import arranged  # noqa: PLC0415

    parameters = parse_options(option)
    subject = _subject(text, messages)
    with connection.client(model=model, timeout=timeout) as client:
        ask = client.server.tokenize
        tokens = ask(**subject, **arranged({"return_token_strs": True, **parameters}, ask))
    if json:
        print_json(tokens.to_dict(mode="json"))
    else:
        _show(tokens)


def _subject(text: str | None, messages: str | None) -> dict[str, Any]:
    if messages is not None:
        if text is not None:
            raise typer.BadParameter("give --text or --messages, not both")
        return {"messages": _conversation(messages)}
    prompt = prompt_text(None) if text is None else checked(text, "--text")
    if prompt is None:
        raise typer.BadParameter("give a text by --text or on stdin, or --messages")
    return {"prompt": prompt}


def _conversation(given: str) -> list[Any]:
    text = checked(given, "--messages")
    if text.startswith("@"):
        try:
            with Path(text[1:]).expanduser().open("rb") as file:
                text = piped_text(file, text[1:])
        except OSError as cause:
            raise typer.BadParameter(f"--messages: {text[1:]} cannot be read: {cause.strerror}") from None
    try:
        messages = json_format.loads(text)
    except (ValueError, RecursionError):
        messages = None
    if not isinstance(messages, list):
        raise typer.BadParameter('--messages takes a JSON list, such as [{"role": "user", "content": "Hi"}]')
    return messages


def _show(tokens: Tokenization) -> None:
    print_table(("id", "token"), itertools.zip_longest(tokens.tokens, map(_quoted, tokens.token_strs or ())))
    typer.echo(f"{tokens.count} tokens; the context holds {tokens.max_model_len}")


def _quoted(piece: str) -> str:
    """Return a piece of text with its white space to be seen."""
    return json_format.dumps(piece, ensure_ascii=False)
