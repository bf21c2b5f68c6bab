"""JavaScript and TypeScript: what talks to OpenAI is reported, and nothing is rewritten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from vllm_connect.migrate.configuration.judgement import KEY, REVOKE
from vllm_connect.migrate.configuration.requests import BARE, REQUEST, URL
from vllm_connect.migrate.finding import Finding, Severity, place_in
from vllm_connect.migrate.model_names import NAMES
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.result import Migrated
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.variables import HOSTS, is_key_of_openai

__all__ = ["RULES", "migrated_javascript"]

CLIENT = Rule(
    "javascript-client",
    "A client for OpenAI in JavaScript",
    Severity.BREAKS,
    "without baseURL it sends prompts to api.openai.com, and it sends OPENAI_API_KEY wherever it goes",
    'Give it baseURL: process.env.VLLM_BASE_URL and apiKey: process.env.VLLM_API_KEY ?? "EMPTY", and name a served model.',
)
RULES = (CLIENT,)
PACKAGES = re.compile(
    r"openai(?:/.*)?|@azure/openai(?:/.*)?|@langchain/openai(?:/.*)?|@ai-sdk/(?:openai|azure)|openai-edge"
    r"|@openai/agents(?:/.*)?|https://esm\.sh/openai\S*|npm:openai\S*"
)
# A text ends with its line, so that a quote within a regular expression goes no further.
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)"""
    r"|(?P<word>[A-Za-z_$][\w$]*)|(?P<sign>[^\s\w])",
    re.DOTALL,
)


class _Text(NamedTuple):
    """A text literal, and the two tokens before it."""

    value: str
    at: int
    before: tuple[str, str]


class _Said(NamedTuple):
    """What is said of a text, and what is to be done."""

    rule: Rule
    message: str
    todo: str


def migrated_javascript(
    text: str,
    file: str,
    project: Project,  # noqa: ARG001 - every handler is given these
    options: Options,  # noqa: ARG001
) -> Migrated:
    """Return a source as it is, with what is to be said of it."""
    said = [(one.at, found) for one in _texts(text) if (found := _said(one)) is not None]
    return Migrated(text, tuple(_finding(place_in(text, at), file, found) for at, found in said))


def _texts(text: str) -> Iterator[_Text]:
    before = ("", "")
    for found in TOKEN.finditer(text):
        if found["text"] is not None:
            yield _Text(found["text"][1:-1], found.start(), before)
        if found["text"] or found["word"] or found["sign"]:
            before = (before[1], found[0])


def _said(one: _Text) -> _Said | None:
    """Return what is to be said of a text, None where there is nothing to say."""
    if is_key_of_openai(one.value):
        return _Said(KEY, "a key of the OpenAI platform stands in the source", REVOKE)
    is_imported = one.before[1] in ("from", "import") or (
        one.before[1] == "(" and one.before[0] in ("require", "import")
    )
    if is_imported and PACKAGES.fullmatch(one.value):
        return _Said(CLIENT, f"{one.value}: {CLIENT.why}", CLIENT.todo)
    url = URL.search(one.value)
    if url is not None and not BARE.fullmatch(url[0]):
        return _Said(REQUEST, REQUEST.why, REQUEST.todo)
    if HOSTS.search(one.value) and " " not in one.value.strip():
        return _Said(CLIENT, "this is OpenAI's address", CLIENT.todo)
    if NAMES.fullmatch(one.value):
        return _Said(
            CLIENT,
            f"{one.value} is a model of OpenAI's, which a vLLM server answers with 404",
            "Name a served model.",
        )
    return None


def _finding(place: tuple[int, int], file: str, said: _Said) -> Finding:
    return Finding(
        path=file,
        line=place[0],
        column=place[1],
        rule=said.rule.id,
        severity=said.rule.severity,
        message=said.message,
        todo=said.todo,
    )
