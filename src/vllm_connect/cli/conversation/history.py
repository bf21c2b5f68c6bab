"""The lines typed in earlier chats: a file of one JSON string per line, readable by its owner alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs

__all__ = ["History", "history_path"]

KEPT, MOST = 1000, 2000


def history_path() -> Path:
    """Return the file's place in the user's state folder of the platform."""
    return platformdirs.user_state_path("vllm-connect") / "chat-history.jsonl"


class History:
    """The history file; each line is appended when it is typed, so that two chats do not lose each other's.

    Raises OSError where the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._append("")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(lines) > MOST:
            self._shorten(lines[-KEPT:])
        self.lines = tuple(filter(None, map(_line, lines[-KEPT:])))

    def add(self, line: str) -> None:
        """Keep a line that was typed."""
        self._append(json.dumps(line) + "\n")

    def _append(self, text: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor, not a path
            os.fchmod(descriptor, 0o600)
            file.write(text)

    def _shorten(self, lines: list[str]) -> None:
        short = self._path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(short, os.O_WRONLY | os.O_TRUNC | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # a descriptor, not a path
            file.writelines(f"{line}\n" for line in lines)
        short.replace(self._path)


def _line(text: str) -> str:
    try:
        line = json.loads(text)
    except ValueError:
        return ""
    return line if isinstance(line, str) else ""
