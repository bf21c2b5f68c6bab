"""The server's own words: where they stand in an answer, and how they are shown."""

from __future__ import annotations

from typing import Any

from vllm_connect.facts.names import printable

__all__ = ["shape_text", "status_text"]

LONGEST_SERVER_TEXT = 500
LONGEST_CONTENT_TYPE = 50


def status_text(body: object) -> str:
    """Return the server's own words, wherever its body holds them; bounded, without control characters.

    vLLM has three shapes: `{"error": {"message": ...}}`, `{"error": "..."}` and `{"detail": "..."}`; within a stream
    an error stands by itself.
    """
    text: Any = body
    if isinstance(body, dict):
        error = body.get("error", body)
        text = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    if not isinstance(text, str) or text.lstrip()[:1] == "<":
        return ""
    return printable(text[:LONGEST_SERVER_TEXT])


def shape_text(place: str, path: str, content_type: str, reason: str) -> str:
    """Return what to say of an answer that is none of vLLM's, though its status says success."""
    kind = printable(content_type[:LONGEST_CONTENT_TYPE]) or "no content type"
    lacks = f": {reason}" if reason else ""
    return f"{place} answered {path} with something that is not vLLM's ({kind}){lacks}."
