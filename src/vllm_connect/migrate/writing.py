"""Files are written: whole or not at all, only what was looked at, and not over work that git does not hold."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from vllm_connect.migrate.migration import Outcome

__all__ = ["unsaved", "write"]

GIT_SECONDS = 60


def unsaved(paths: Iterable[Path]) -> list[str]:
    """Return what git could not bring back in the work trees of these files: changes in them, and files it does not hold.

    Empty where nothing is lost, or there is no git.
    """
    trees: dict[Path, list[Path]] = {}
    for path in paths:
        top = _git(path.resolve().parent, "rev-parse", "--show-toplevel")
        if top:
            trees.setdefault(Path(os.fsdecode(top.rstrip(b"\n"))), []).append(path.resolve())
    found: list[str] = []
    for tree, files in trees.items():
        changed = _git(tree, "status", "--porcelain", "-z", "--untracked-files=no").split(b"\0")
        found += [os.fsdecode(one[3:]) for one in changed if one[2:3] == b" "]
        held = set(_git(tree, "ls-files", "-z", "--", *map(str, files)).split(b"\0"))
        names = [os.path.relpath(file, tree) for file in files]
        found += [name for name in names if os.fsencode(name) not in held]
    return sorted(set(found))


def _git(folder: Path, *arguments: str) -> bytes:
    """Return what git says, nothing where there is none, or no work tree."""
    try:
        told = subprocess.run(  # noqa: S603 - a fixed command
            ["git", *arguments],  # noqa: S607 - the user's git
            cwd=folder,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return b""
    return told.stdout if told.returncode == 0 else b""


def write(outcome: Outcome) -> str:
    """Write what became of a file; return why it was not written, empty where it was."""
    if outcome.content is None:
        return ""
    target = outcome.path.resolve()
    try:
        if hashlib.sha256(target.read_bytes()).digest() != outcome.digest:
            return "it was changed while this ran; run it again"
        _replace(target, outcome.content)
    except OSError as wrong:
        return f"{wrong.strerror or wrong}"
    return ""


def _replace(target: Path, content: bytes) -> None:
    mode = target.stat().st_mode
    if not os.access(target, os.W_OK):
        raise PermissionError(13, "it is not writable")
    number, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode & 0o7777)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
