"""A forked process must not speak on its parent's connections."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["forget_in_children"]


class _Forgetting(Protocol):
    def forget(self) -> None: ...


_wires: weakref.WeakSet[_Forgetting] = weakref.WeakSet()


def forget_in_children(wire: _Forgetting) -> None:
    """Have `wire.forget()` called in every process that is forked from this one while the wire exists."""
    _wires.add(wire)


def _forget() -> None:
    for wire in _wires:
        wire.forget()


os.register_at_fork(after_in_child=_forget)
