"""`-o key=value`: parameters of a request."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import typer

from vllm_connect.cli.incoming import checked

__all__ = ["parse_option", "parse_options"]

# Parameters that something else decides on: who names one is told what.
RESERVED = {
    "model": "give it with --model",
    "messages": "a chat's messages are what is said in it",
    "prompt": "give it with -q or on stdin",
    "input": "give it with --text, --file or on stdin",
    "stream": "answers always stream",
    "n": "one answer is shown; ask again for another",
    "timeout": "give it with --timeout",
    "extra_body": "give its fields one by one, each with -o",
    "extra_headers": "headers are not given on the command line, where others may read them",
    "extra_query": "give the query as part of the request's fields",
}


def parse_options(options: Iterable[str] | None) -> dict[str, Any]:
    """Return the parameters that options give; raises typer.BadParameter."""
    parameters = {}
    for option in options or ():
        try:
            key, value = parse_option(checked(option, "-o"))
        except ValueError as problem:
            raise typer.BadParameter(f"-o {problem}") from None
        parameters[key] = value
    return parameters


def parse_option(text: str) -> tuple[str, Any]:
    """Return name and value of `key=value`: JSON where it is JSON, else the text itself; raises ValueError."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ValueError(f"{text!r} is not KEY=VALUE, such as temperature=0.2")
    if key in RESERVED:
        raise ValueError(f"{key}: {RESERVED[key]}")
    try:
        return key, json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return key, value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
