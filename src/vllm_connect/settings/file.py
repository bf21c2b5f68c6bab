"""A settings file: read, checked against the table of settings, every value with its line."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vllm_connect.errors import SettingsError, SettingsWarning
from vllm_connect.settings.fields import FIELDS, PROFILE_TABLE

__all__ = ["SettingsFile", "find_project_file", "nearest", "read_settings_file"]

FileKind = Literal["project file", "user file"]
PROJECT_FILE = "vllm-connect.toml"
PYPROJECT = "pyproject.toml"
PYPROJECT_TABLE = ("tool", "vllm-connect")
READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True)
class SettingsFile:
    """The checked content of one file: its own values, its profiles, and the lines they stand in."""

    kind: FileKind
    path: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    readable_by_others: bool = False

    def place(self, *keys: str) -> str:
        """Return `file:line` of a value, for people."""
        line = self.lines.get(keys)
        return f"{self.path}:{line}" if line else str(self.path)


def read_settings_file(path: Path, kind: FileKind) -> SettingsFile | None:
    """Read and check a settings file; None when it does not exist or is a pyproject.toml without our table.

    Raises SettingsError with one line per problem: `file:line`, what is wrong, the nearest valid name.
    A byte order mark is accepted.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as cause:
        raise SettingsError(f"{path}: the settings file cannot be read ({cause.strerror}).") from None
    except UnicodeDecodeError as cause:
        raise SettingsError(f"{path}: not UTF-8 (byte {cause.start}); save the file as UTF-8.") from None
    prefix = PYPROJECT_TABLE if path.name == PYPROJECT else ()
    table = _table_at(_parse(text, path), prefix, path)
    if table is None:
        return None
    lines = {keys[len(prefix) :]: line for keys, line in _lines(text) if keys[: len(prefix)] == prefix}
    return _checked(
        table, SettingsFile(kind, path, lines=lines, readable_by_others=bool(mode & READABLE_BY_OTHERS))
    )


def _parse(text: str, path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - most programs have no such file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        if path.name == PYPROJECT and PYPROJECT_TABLE[1] not in text:
            # Somebody else's file, such as a template: whether it is valid is none of our business.
            return {}
        reason, _, place = str(cause).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        number = line[1] if line else len(text.splitlines())
        raise SettingsError(
            f"{path}:{number}: not valid TOML: {reason}. Mend that line; a text stands in quotes, as in "
            'base_url = "http://gpu1:8000".'
        ) from None


def _table_at(document: dict[str, Any], keys: tuple[str, ...], path: Path) -> dict[str, Any] | None:
    table: Any = document
    for key in keys:
        table = table.get(key)
        if table is None:
            return None
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: [{'.'.join(keys)}] is not a table.")
    return dict(table)


def _lines(text: str) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield the line of every key and table header; `tomllib` keeps none.

    Only where a person would look: a key inside a multi-line value may be missed, its table is then named.
    """
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?([^\[\]]+)\]\]?", line)
        if header:
            table = _keys(header[1])
            yield table, number
            continue
        assignment = re.match(r"\s*([A-Za-z0-9_\-.\"' ]+?)\s*=", line)
        if assignment:
            yield (*table, *_keys(assignment[1])), number


def _keys(dotted: str) -> tuple[str, ...]:
    parts = re.findall(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)", dotted)
    return tuple("".join(part) for part in parts)


def _checked(table: dict[str, Any], found: SettingsFile) -> SettingsFile:
    profiles = table.pop(PROFILE_TABLE, {})
    problems = list(_problems(table, (), found))
    if not isinstance(profiles, dict):
        raise SettingsError(f"{found.place(PROFILE_TABLE)}: `{PROFILE_TABLE}` is a table of tables.")
    for name, values in profiles.items():
        if not isinstance(values, dict):
            problems.append(f"{found.place(PROFILE_TABLE, name)}: the profile {name!r} is not a table.")
            continue
        problems.extend(_problems(values, (PROFILE_TABLE, name), found))
    if problems:
        raise SettingsError("\n".join(problems))
    return SettingsFile(
        found.kind, found.path, table, profiles, found.lines, readable_by_others=found.readable_by_others
    )


def _problems(values: Mapping[str, Any], table: tuple[str, ...], found: SettingsFile) -> Iterator[str]:
    for name, value in values.items():
        place = found.place(*table, name)
        field_ = FIELDS.get(name)
        known = set(FIELDS) - ({"profile"} if table else set())
        if field_ is None or name not in known:
            yield f"{place}: unknown setting `{name}`{nearest(name, known | (set() if table else {PROFILE_TABLE}))}"
        elif not field_.fits(value):
            yield f"{place}: `{name}` takes {field_.takes}, not {_kind(value)}."
        elif found.kind == "project file" and not field_.in_project_file:
            yield (
                f"{place}: `{name}` is not taken from a project file, which comes with a repository and must not "
                "reach for its reader's keys; set it in your user file."
            )
        elif found.kind == "project file" and name == "tls" and "client_cert" in value:
            yield (
                f"{place}: `tls.client_cert` is not taken from a project file, which would use its reader's "
                "identity; set it in your user file."
            )


def _kind(value: object) -> str:
    names = {
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number",
        dict: "a table",
        list: "a list",
    }
    return names.get(type(value), type(value).__name__)


def nearest(name: str, known: set[str]) -> str:
    """Return the end of a sentence: `; did you mean ...?` for the nearest known name, or the list of all."""
    import difflib  # noqa: PLC0415 - for a mistyped name only

    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(sorted(known))}."


def find_project_file(start: Path, home: Path | None, user_file: Path | None) -> SettingsFile | None:
    """Return the nearest project file from a folder upwards, to the repository's root or the home folder.

    The user file is none. A file that another user owns or may write is not read, and warned about: in a
    shared folder such as /tmp it would direct everybody's requests (as git's CVE-2022-24765).
    """
    for folder in (start, *start.parents):
        for name in (PROJECT_FILE, PYPROJECT):
            path = folder / name
            if user_file is not None and path.resolve() == user_file.resolve():
                continue
            found = read_settings_file(path, "project file")
            if found is not None and _is_of_another(path):
                warnings.warn(
                    f"{path} belongs to another user, or others may write it, and is not read; if you trust it, "
                    f"set VLLMCONNECT_CONFIG={path}.",
                    SettingsWarning,
                    stacklevel=5,
                )
            elif found is not None:
                return found
        if (folder / ".git").exists() or folder == home:
            break
    return None


def _is_of_another(path: Path) -> bool:
    status = path.stat()
    return status.st_uid not in (os.getuid(), 0) or bool(status.st_mode & stat.S_IWOTH)
