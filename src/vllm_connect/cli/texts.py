"""The texts of a file or a pipe, read line by line, so that memory does not grow with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from vllm_connect.cli.failure import Failure

__all__ = ["batches", "texts_of"]

# A line longer than the largest contexts is no text but a file without line ends.
LONGEST_LINE = 64 * 2**20
# Enough for a request to be worth its way, few enough that its body stays small.
MOST_CHARACTERS = 2**20


def texts_of(stream: BinaryIO, name: str, field: str | None) -> Iterator[str]:
    """Yield the text of every line, or of one field of every JSON line; empty lines are passed over.

    Raises Failure, which names the line.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        place = f"{name}, line {number}"
        if len(line) > LONGEST_LINE:
            raise Failure(f"{place}: longer than {LONGEST_LINE // 2**20} MiB")
        text = _decoded(line, place)
        if text.strip():
            yield text if field is None else _field(text, field, place)


def _decoded(line: bytes, place: str) -> str:
    try:
        # A byte order mark stands at the start of the first line, where a program of Windows wrote it.
        return line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise Failure(f"{place}: not UTF-8 text; convert it, for example with iconv -t utf-8") from None


def _field(line: str, field: str, place: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise Failure(f"{place}: not JSON; without --field each line is a text itself") from None
    if not isinstance(row, dict) or field not in row:
        has = f"it has {', '.join(row)}" if isinstance(row, dict) and row else "it is no object with fields"
        raise Failure(f"{place}: there is no field {field!r}; {has}")
    if not isinstance(row[field], str):
        raise Failure(f"{place}: the field {field!r} holds {type(row[field]).__name__}, not text")
    text: str = row[field]
    return text


def batches(texts: Iterator[str], size: int, characters: int = MOST_CHARACTERS) -> Iterator[list[str]]:
    """Yield texts in lists of at most `size`, and of at most `characters` unless one text alone has more."""
    batch: list[str] = []
    length = 0
    for text in texts:
        if batch and (len(batch) == size or length + len(text) > characters):
            yield batch
            batch, length = [], 0
        batch.append(text)
        length += len(text)
    if batch:
        yield batch
