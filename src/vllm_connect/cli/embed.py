"""`vllm-connect embed`: texts to vectors, in batches, in the order they came."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vllm_connect.cli.failure import Failure
from vllm_connect.cli.incoming import checked
from vllm_connect.cli.options import Connection, Json, Model, Options, Timeout, connecting
from vllm_connect.cli.parameters import parse_options
from vllm_connect.cli.terminal import complain, write
from vllm_connect.cli.texts import batches, texts_of
from vllm_connect.cli.vectors import FORMATS, Embedded, Format, embedded

if TYPE_CHECKING:
    from vllm_connect.client import OpenAI

__all__ = ["embed"]

Texts = Annotated[list[str] | None, typer.Option("--text", metavar="TEXT", help="A text. Repeatable.")]
File = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="A file of texts, one a line; - is stdin.")
]
Field = Annotated[
    str | None,
    typer.Option("--field", metavar="NAME", help="The lines are JSON objects, with the text in this field."),
]
Output = Annotated[
    Format | None,
    typer.Option(
        "--format",
        metavar="|".join(FORMATS),
        help="An object a line, one document, numbers alone, or the first few numbers; "
        "by default short on a terminal, else jsonl.",
        show_default=False,
    ),
]
BatchSize = Annotated[
    int, typer.Option("--batch-size", metavar="N", min=1, max=2048, help="The most texts of one request.")
]
# The client asks for float32 and reads it: with another type or order of bytes the numbers would be wrong.
FIXED = ("encoding_format", "embed_dtype", "endianness")


@connecting
def embed(
    connection: Connection,
    text: Texts = None,
    file: File = None,
    field: Field = None,
    output: Output = None,
    batch_size: BatchSize = 32,
    model: Model = None,
    option: Options = None,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Turn texts into vectors, in their order.

    The texts are those of --text, or the lines of a file or of stdin. A format other than short can be read
    by programs; csv holds numbers alone, as numpy.loadtxt(delimiter=",") takes them.
    """
    if json and output not in (None, "json"):
        raise typer.BadParameter("--json is --format json; give one of them")
    chosen: Format = output or ("json" if json else "short" if sys.stdout.isatty() else "jsonl")
    parameters = parse_options(option)
    for name in FIXED:
        if name in parameters:
            raise typer.BadParameter(f"-o {name}: the numbers come as float32 and are written as text")
    with (
        contextlib.closing(_texts(text, file, field)) as texts,
        connection.client(model=model, timeout=timeout) as client,
    ):
        answers = _embedded(client, texts, batch_size, parameters)
        for piece in FORMATS[chosen](answers):
            write(piece)


def _texts(texts: list[str] | None, file: Path | None, field: str | None) -> Generator[str]:
    if texts and file is not None:
        raise typer.BadParameter("give texts by --text or by --file, not both")
    if texts:
        yield from (checked(text, "--text") for text in texts)
    elif file is not None and str(file) != "-":
        try:
            stream = file.open("rb")
        except OSError as cause:
            raise Failure(f"{file} cannot be read: {cause.strerror}") from None
        with stream:
            yield from texts_of(stream, str(file), field)
    elif file is None and sys.stdin.isatty():
        raise typer.BadParameter("give texts by --text, by --file, or on stdin")
    else:
        yield from texts_of(sys.stdin.buffer, "stdin", field)


def _embedded(
    client: OpenAI, texts: Iterator[str], size: int, parameters: Mapping[str, Any]
) -> Iterator[Embedded]:
    """Yield the answers of one request after another; says how many texts are done when one fails."""
    from openai import OpenAIError  # noqa: PLC0415

    from vllm_connect.cli.asking import arranged  # noqa: PLC0415

    arguments = arranged(parameters, client.embeddings.create)
    done = 0
    try:
        for batch in batches(texts, size):
            yield embedded(client.embeddings.create(input=batch, **arguments), len(batch))
            done += len(batch)
    except (Failure, OpenAIError):
        if done:
            complain(f"stopped after {done} texts")
        raise
