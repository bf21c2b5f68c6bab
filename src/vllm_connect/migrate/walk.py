"""Which files a migration looks at: those that git knows of, or all but what tools have made."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from vllm_connect.migrate.source import kind_of

__all__ = ["files_of"]

LEFT_OUT = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".jj",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".nox",
        ".eggs",
        ".cache",
        ".ipynb_checkpoints",
        "node_modules",
        "site-packages",
        "build",
        "dist",
        "target",
        ".next",
        ".terraform",
    }
)
GIT_SECONDS = 60


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Return the files below the paths, each once, in order; a file that is named itself is always among them.

    Raises FileNotFoundError.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(sorted(_below(path))))
        elif path.exists():
            found[path] = None
        else:
            raise FileNotFoundError(2, "no such file or folder", str(path))
    seen: set[Path] = set()
    return [path for path in found if not (path.resolve() in seen or seen.add(path.resolve()))]  # type: ignore[func-returns-value]  # set.add


def _below(folder: Path) -> Iterator[Path]:
    tracked = _tracked(folder)
    candidates = _walked(folder) if tracked is None else _of_git(folder, tracked)
    return (path for path in candidates if _is_wanted(path))


def _is_wanted(path: Path) -> bool:
    if path.suffix:
        return kind_of(path) != "other"
    try:
        with path.open("rb") as file:
            return kind_of(path, file.read(200)) != "other"
    except OSError:
        return kind_of(path) != "other"


def _tracked(folder: Path) -> list[str] | None:
    """Return the files that git tracks or would, None where there is no work tree, or no git."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - the user's git
            cwd=folder,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
        inside = subprocess.run(
            ["git", "rev-parse", "--is-inside-work-tree"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    names = [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    # A folder that git ignores as a whole was named by the caller nevertheless.
    is_tree = listed.returncode == 0 and inside.stdout.strip() == b"true"
    return names if is_tree and names else None


def _of_git(folder: Path, names: Iterable[str]) -> Iterator[Path]:
    root = folder.resolve()
    for name in names:
        path = folder / name
        if path.is_file() and path.resolve().is_relative_to(root):
            yield path


def _walked(folder: Path) -> Iterator[Path]:
    """Walk a folder; links to folders are not followed, links to files only within it."""
    root = folder.resolve()
    for at, folders, names in os.walk(folder):
        here = Path(at)
        folders[:] = sorted(name for name in folders if not _is_left_out(here / name))
        for name in names:
            path = here / name
            if path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(root)):
                yield path


def _is_left_out(folder: Path) -> bool:
    is_environment = (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").is_dir()
    return folder.name in LEFT_OUT or folder.name.endswith(".egg-info") or is_environment
