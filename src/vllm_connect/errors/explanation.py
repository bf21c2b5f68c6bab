"""What an error says of itself: what happened (`explanation`), what to do (`fix`), and by which rule (`rule`)."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["Explained", "explained_as"]

E = TypeVar("E", bound=BaseException)


class _Message:
    """The explanation of an error that no rule has explained: its message. An explained one has its own."""

    def __get__(self, error: Any, owner: type | None = None) -> str:
        return "" if error is None else getattr(error, "message", None) or str(error)


class Explained:
    """What each of our errors has: all three are texts; `fix` is empty where nothing is known, `rule` without a rule."""

    explanation: str = _Message()  # type: ignore[assignment]  # a text wherever it is read from an error
    fix: str = ""
    rule: str = ""


def explained_as(error: E, explanation: str, fix: str, *, rule: str = "") -> E:
    """Return an error that says in its fields what happened and what to do; its message stays as it is.

    The SDK's own classes take these fields as ours do, and keep them when they are pickled.
    """
    error.explanation = explanation  # type: ignore[attr-defined]
    error.fix = fix  # type: ignore[attr-defined]
    error.rule = rule  # type: ignore[attr-defined]
    return error
