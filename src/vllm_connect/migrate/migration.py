"""One file from its bytes to what becomes of it; an exception of ours is told as a finding, and the file is left."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vllm_connect.migrate.configuration import CONFIGURATION
from vllm_connect.migrate.exports import exports_of
from vllm_connect.migrate.finding import Finding
from vllm_connect.migrate.javascript import migrated_javascript
from vllm_connect.migrate.markdown import migrated_markdown
from vllm_connect.migrate.notebook import migrated_notebook
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Exports, Project
from vllm_connect.migrate.python import CRASH, UNPARSED, migrated, parsed
from vllm_connect.migrate.result import Crashed, Migrated, NotParsed
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.secret import masked
from vllm_connect.migrate.source import Kind, Source, Unreadable, read
from vllm_connect.migrate.usage import Usage

__all__ = ["HANDLERS", "Outcome", "failed", "file_exports", "migrated_file", "name_of"]

Handler = Callable[[str, str, Project, Options], Migrated]
# What is done with each kind of file; kinds that are not here are not looked at.
HANDLERS: Mapping[Kind, Handler] = {
    "python": migrated,
    "notebook": migrated_notebook,
    "markdown": migrated_markdown,
    "javascript": migrated_javascript,
    **CONFIGURATION,
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one file: its text before and after, and what was found.

    `content` is what is to be written, None where nothing changes; `digest` is of what was read.
    """

    path: Path
    findings: tuple[Finding, ...] = ()
    before: str = ""
    after: str = ""
    content: bytes | None = None
    usages: tuple[Usage, ...] = ()
    digest: bytes = b""

    @property
    def is_crash(self) -> bool:
        """Whether a part of ours failed at it."""
        return any(one.rule == CRASH.id for one in self.findings)


def name_of(path: Path) -> str:
    """Return the name of a file within a project."""
    return os.path.abspath(path)  # noqa: PTH100 - links stay as they are


def file_exports(path: Path, project: Project) -> Exports:
    """Return what a Python file hands on to others, nothing where it cannot be read: `migrated_file` says so."""
    try:
        source = read(path, is_relevant=True)
        return {} if source is None else exports_of(parsed(source.text), name_of(path), project)
    except (Unreadable, NotParsed, OSError):
        return {}


def migrated_file(path: Path, project: Project, options: Options) -> Outcome:
    """Return what becomes of a file."""
    try:
        source = read(path)
        if source is None or source.kind not in HANDLERS:
            return Outcome(path=path)
        return _outcome(source, HANDLERS[source.kind](source.text, name_of(path), project, options))
    except NotParsed as wrong:
        return failed(path, UNPARSED, str(wrong), wrong.line, wrong.column)
    except Unreadable as wrong:
        return failed(path, UNPARSED, str(wrong))
    except OSError as wrong:
        return failed(path, UNPARSED, f"it cannot be read: {wrong.strerror or wrong}")
    except Crashed as wrong:
        return failed(path, CRASH, f"{CRASH.why}: {wrong}")
    except Exception as wrong:  # noqa: BLE001 - a crash is a finding, and the run goes on
        return failed(path, CRASH, f"{CRASH.why}: {type(wrong).__name__}: {wrong}")


def failed(path: Path, rule: Rule, message: str, line: int = 1, column: int = 1) -> Outcome:
    """Return the outcome of a file that is left as it is."""
    finding = Finding(
        path=str(path),
        line=line,
        column=column,
        rule=rule.id,
        severity=rule.severity,
        message=masked(message, is_code=True),  # an exception may quote the source
        todo=rule.todo,
    )
    return Outcome(path=path, findings=(finding,))


def _outcome(source: Source, came: Migrated) -> Outcome:
    findings = tuple(
        replace(
            one,
            path=str(source.path),
            message=masked(one.message, is_code=True),
            todo=masked(one.todo, is_code=True),
        )
        for one in came.findings
    )
    is_same = came.text == source.text
    return Outcome(
        path=source.path,
        findings=findings,
        before=source.text,
        after=came.text,
        usages=tuple(replace(one, path=str(source.path)) for one in came.usages),
        content=None if is_same else source.encoded(came.text),
        digest=hashlib.sha256(source.encoded(source.text)).digest(),
    )
