"""Text that comes in: from -q, from a pipe, from files; always UTF-8, always bounded."""

from __future__ import annotations

import sys
from typing import BinaryIO

import typer

__all__ = ["checked", "piped_text", "prompt_text"]

# The largest contexts hold some ten million tokens.
LARGEST_TEXT = 64 * 2**20


def prompt_text(quick: str | None) -> str | None:
    """Return what is asked: `-q`, what is piped in, or both with the piped text after; None for neither."""
    piped = None if sys.stdin is None or sys.stdin.isatty() else piped_text(sys.stdin.buffer)
    parts = [checked(text, "-q") for text in (quick,) if text is not None]
    parts += [piped] if piped and piped.strip() else []
    return "\n\n".join(parts) if parts else None


def piped_text(stream: BinaryIO, name: str = "stdin") -> str:
    """Return all of a stream without the newline at its end; raises typer.BadParameter."""
    content = stream.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise typer.BadParameter(f"{name} holds more than {LARGEST_TEXT // 2**20} MiB of text")
    try:
        return content.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as problem:
        raise typer.BadParameter(
            f"{name} is not UTF-8 text (byte {problem.start}); convert it, for example with iconv -t utf-8"
        ) from None


def checked(text: str, name: str) -> str:
    """Return a text of the command line as UTF-8, whatever the locale; raises typer.BadParameter.

    Bytes that the locale does not know arrive as surrogates, which JSON cannot hold.
    """
    try:
        return text.encode(errors="surrogateescape").decode()
    except UnicodeError:
        raise typer.BadParameter(f"{name} is not UTF-8 text") from None
