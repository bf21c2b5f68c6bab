"""What an error says of itself: what happened (`explanation`), what to do (`fix`), and by which rule (`rule`)."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["Explained", "explained_as"]

E = TypeVar("E", bound=BaseException)


def _told(error: Any) -> str:
    return getattr(error, "message", None) or str(error)


def _parted(message: str) -> tuple[str, str]:
    """Return what a message says is wrong, and what to do: its sentences behind the first, else its last clause."""
    if "\n" in message:  # several at once
        return message, ""
    wrong, mark, fix = message.partition(". ")
    if not mark:
        wrong, mark, fix = message.partition("; ")
    return (f"{wrong}.", f"{fix[0].upper()}{fix[1:]}") if fix else (message, "")


class _Explanation:
    """The explanation of an error that no rule has explained; an explained one has its own."""

    def __get__(self, error: Any, owner: type | None = None) -> str:
        return "" if error is None else _parted(_told(error))[0]


class _Fix:
    """The same for what to do."""

    def __get__(self, error: Any, owner: type | None = None) -> str:
        return "" if error is None else _parted(_told(error))[1]


class Explained:
    """What each of our errors has: all three are texts; `fix` is empty where nothing is known, `rule` without a rule.

    The message of an error that is no call's says first what is wrong, and then what to do.
    """

    explanation: str = _Explanation()  # type: ignore[assignment]  # a text wherever it is read from an error
    fix: str = _Fix()  # type: ignore[assignment]
    rule: str = ""


def explained_as(error: E, explanation: str, fix: str, *, rule: str = "") -> E:
    """Return an error that says in its fields what happened and what to do; its message stays as it is.

    The SDK's own classes take these fields as ours do, and keep them when they are pickled.
    """
    error.explanation = explanation  # type: ignore[attr-defined]
    error.fix = fix  # type: ignore[attr-defined]
    error.rule = rule  # type: ignore[attr-defined]
    return error
