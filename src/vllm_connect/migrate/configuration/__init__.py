"""Files of settings: each format has a reader, and what is read is judged by one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice

from vllm_connect.migrate.configuration.dockerfile import read_dockerfile
from vllm_connect.migrate.configuration.entry import Reader
from vllm_connect.migrate.configuration.env import read_env
from vllm_connect.migrate.configuration.ini import read_ini
from vllm_connect.migrate.configuration.json import read_json
from vllm_connect.migrate.configuration.judgement import RULES as OF_SETTINGS
from vllm_connect.migrate.configuration.judgement import Replacement, Said, judged
from vllm_connect.migrate.configuration.requests import REQUEST, written_requests
from vllm_connect.migrate.configuration.shell import read_shell
from vllm_connect.migrate.configuration.toml import read_toml
from vllm_connect.migrate.configuration.yaml import read_yaml
from vllm_connect.migrate.finding import Finding, place_in
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.result import Migrated
from vllm_connect.migrate.source import Kind

__all__ = ["CONFIGURATION", "RULES"]

RULES = (*OF_SETTINGS, REQUEST)
READERS: Mapping[Kind, Reader] = {
    "env": read_env,
    "yaml": read_yaml,
    "toml": read_toml,
    "ini": read_ini,
    "json": read_json,
    "shell": read_shell,
    "dockerfile": read_dockerfile,
}


def migrated_configuration(
    text: str,
    file: str,
    project: Project,  # noqa: ARG001 - every handler is given it
    options: Options,
    *,
    read: Reader,
) -> Migrated:
    """Return a file of settings as it is for vLLM."""
    said = list(judged(read(text), text, options.models))
    place = partial(place_in, text)
    findings = [*_of_settings(said, file, place)]
    known = {(one.line, one.rule) for one in findings}
    findings += [
        one
        for one in _of_requests(text, file, place, is_data=read is read_json)
        if (one.line, one.rule) not in known
    ]
    edits = [edit for one in said for edit in one.edits]
    return Migrated(_edited(text, edits), tuple(sorted(dict.fromkeys(findings), key=_order)))


def _order(finding: Finding) -> tuple[int, int, str]:
    return finding.line, finding.column, finding.rule


Place = Callable[[int], tuple[int, int]]


def _of_settings(said: Iterable[Said], file: str, place: Place) -> Iterator[Finding]:
    for one in said:
        line, column = place(one.entry.name_at[0])
        yield Finding(
            path=file,
            line=line,
            column=column,
            rule=one.rule.id,
            severity=one.rule.severity,
            message=f"{one.entry.name}: {one.message or one.rule.why}",
            todo=one.rule.todo if one.todo is None else one.todo,
            is_fixed=bool(one.edits),
        )


def _of_requests(text: str, file: str, place: Place, *, is_data: bool) -> Iterator[Finding]:
    # JSON is data as often as it is settings: a recording is told once.
    most = 1 if is_data else None
    for one in islice(written_requests(text), most):
        line, column = place(one.at)
        yield Finding(
            path=file,
            line=line,
            column=column,
            rule=REQUEST.id,
            severity=REQUEST.severity,
            message=one.message or REQUEST.why,
            todo=REQUEST.todo,
        )


def _edited(text: str, edits: Iterable[Replacement]) -> str:
    for (start, end), new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


CONFIGURATION: Mapping[Kind, Callable[[str, str, Project, Options], Migrated]] = {
    kind: partial(migrated_configuration, read=read) for kind, read in READERS.items()
}
