"""What a command cannot do, and what went wrong on the way to the server, as text for people."""

from __future__ import annotations

__all__ = ["Failure", "told"]


class Failure(Exception):
    """Raised by a command to end with exit code 1 and this text on stderr."""


LONGEST = 1000


def told(error: Exception) -> str:
    """Return an error's text, bounded, and the server's words in the place of its whole answer."""
    text = _without_fields(str(error))
    status, body = getattr(error, "status_code", None), getattr(error, "body", None)
    if status is not None and body:
        text = _in_words(text, status, body)
    return text[:LONGEST]


def _without_fields(text: str) -> str:
    """Return a text without what it says to programs of the error's fields."""
    before, mark, _ = text.partition(" What came of it is in the error's")
    return f"{before} Ask again." if mark else text


def _in_words(text: str, status: int, body: object) -> str:
    """Return the text with the server's words in place of its whole answer, which openai 2.x repeats."""
    from vllm_connect.explain import status_text  # noqa: PLC0415  # imports the SDK

    for answer in (str({"error": body}), str(body)):
        text = text.replace(answer, status_text(body))
    return text if str(status) in text else f"Error code: {status} {text}".strip()
