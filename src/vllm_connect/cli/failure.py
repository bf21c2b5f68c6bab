"""What a command cannot do, and what went wrong on the way to the server, as text for people."""

from __future__ import annotations

__all__ = ["Failure", "told"]


class Failure(Exception):
    """Raised by a command to end with exit code 1 and this text on stderr."""


# What an answer of the server means for one who typed a command.
_ADVICE = (
    (
        "is not a multimodal model",
        "It takes text only: leave the image out, or ask a model that sees images.",
    ),
)


def told(error: Exception) -> str:
    """Return an error's text, with advice where the server's words alone do not say what to do."""
    text = str(error)
    advice = next((sentence for mark, sentence in _ADVICE if mark in text), "")
    return f"{text.rstrip('.')}. {advice}" if advice else text
