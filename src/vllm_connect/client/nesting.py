"""How deep JSON is nested, told without reading it."""

from __future__ import annotations

__all__ = ["TOO_DEEP", "is_too_deep"]

TOO_DEEP = "it is nested too deeply"
# Python's reader takes one level of recursion for each, of a thousand that callers, and what the collector runs while it
# reads, need too: a finalizer that finds none left does nothing, and what it was to close stays open.
DEEPEST = 500
_OPENS, _CLOSES = b"[{", b"]}"
_BRACKETS = frozenset(_OPENS + _CLOSES)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)


def is_too_deep(body: bytes) -> bool:
    """Whether Python's reader of JSON would have to go so deep that nothing else had room."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return False
    without_escapes = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_texts = b"".join(without_escapes.split(b'"')[::2])
    depth = 0
    for bracket in outside_texts.translate(None, _NO_BRACKETS):
        depth += 1 if bracket in _OPENS else -1
        if depth > DEEPEST:
            return True
    return False
