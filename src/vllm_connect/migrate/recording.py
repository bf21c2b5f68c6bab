"""Requests that were recorded, one JSON in a line: `{"path": ..., "body": ...}`, or lines of an OpenAI batch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

__all__ = ["MOST_BYTES", "Broken", "Recorded", "recorded"]

# Images travel within requests; what is larger than this is no request.
MOST_BYTES = 32 * 2**20
PATHS = re.compile(
    r"(?:.*/deployments/(?P<deployment>[^/?]+))?.*?/?(?P<path>(?:chat/)?completions|embeddings|responses)/?"
)
# What makes a stream of an answer: both are asked for whole answers, which can be compared.
OF_STREAMS = frozenset({"stream", "stream_options"})


class Recorded(NamedTuple):
    """One request: its line, its path below the API, its body."""

    line: int
    path: str
    body: dict[str, Any]


class Broken(NamedTuple):
    """A line that is no request, and why."""

    line: int
    reason: str


def recorded(file: BinaryIO) -> Iterator[Recorded | Broken]:
    """Yield the requests of a file, and the lines that are none; empty lines are passed over."""
    number = 0
    while line := file.readline(MOST_BYTES + 1):
        number += 1
        if len(line) > MOST_BYTES:
            yield Broken(number, f"longer than {MOST_BYTES // 2**20} MiB; the rest of the file is not read")
            return
        if line.strip():
            yield _request(number, line)


def _request(number: int, line: bytes) -> Recorded | Broken:
    try:
        content = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except (ValueError, RecursionError):
        return Broken(number, "not JSON")
    if not isinstance(content, dict) or not isinstance(content.get("body"), dict):
        return Broken(number, 'no object with "path" (or "url") and "body"')
    where = content.get("path", content.get("url"))
    if not isinstance(where, str):
        return Broken(number, 'neither "path" nor "url" is a text')
    if content.get("method", "POST") != "POST":
        return Broken(number, "its method is not POST")
    found = PATHS.fullmatch(where.partition("?")[0])
    if found is None:
        return Broken(number, "its path is none of chat/completions, completions, embeddings and responses")
    body = {name: value for name, value in content["body"].items() if name not in OF_STREAMS}
    if found["deployment"] and "model" not in body:
        body["model"] = found["deployment"]
    return Recorded(number, f"/{found['path']}", body)
