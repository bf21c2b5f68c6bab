"""Blocks of Markdown documents, each by its language; all between them stays as it is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace

from vllm_connect.migrate.cells import Cell, migrated_cells
from vllm_connect.migrate.configuration import CONFIGURATION
from vllm_connect.migrate.finding import Finding
from vllm_connect.migrate.javascript import migrated_javascript
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.result import Migrated
from vllm_connect.migrate.source import Kind, looks_relevant

__all__ = ["migrated_markdown"]

BLOCK = re.compile(
    r"^(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})[ \t]*(?:\{?\.?)(?:python3?|py)\b[^\n`]*\n"
    r"(?P<code>.*?)^(?P=indent)(?P=fence)[`~]*[ \t]*\r?$",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
OTHER = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?:\{?\.?)(?P<language>[\w+-]+)[^\n`]*\n"
    r"(?P<code>.*?)^(?P=indent)(?P=fence)[`~]*[ \t]*\r?$",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
LANGUAGES: Mapping[str, Kind] = {
    **dict.fromkeys(("sh", "bash", "shell", "zsh", "console", "fish", "makefile", "curl"), "shell"),
    **dict.fromkeys(("env", "dotenv"), "env"),
    **dict.fromkeys(("yaml", "yml"), "yaml"),
    **dict.fromkeys(("ini", "cfg", "properties"), "ini"),
    **dict.fromkeys(("js", "javascript", "jsx", "mjs", "ts", "typescript", "tsx"), "javascript"),
    "toml": "toml",
    "dockerfile": "dockerfile",
}
HANDLERS = {**CONFIGURATION, "javascript": migrated_javascript}


def migrated_markdown(text: str, file: str, project: Project, options: Options) -> Migrated:
    """Return a document with its blocks as they are for vLLM; raises Crashed."""
    blocks = [one for one in BLOCK.finditer(text) if ">" not in one["indent"]]
    cells = [Cell(_code(one), text.count("\n", 0, one.start("code")) + 1) for one in blocks]
    news, findings, usages = migrated_cells(cells, file, project, options)
    changes = list(zip(blocks, news, strict=True))
    for block in OTHER.finditer(text):
        kind = LANGUAGES.get(block["language"].lower())
        if kind is not None and looks_relevant(block["code"].encode()):
            came = HANDLERS[kind](_code(block), file, project, options)
            changes.append((block, came.text))
            findings += _in_document(came.findings, block, text)
    changed = text
    for block, new in sorted(changes, key=lambda one: one[0].start(), reverse=True):
        if new != _code(block):
            indented = textwrap.indent(new, block["indent"]) if block["indent"] else new
            changed = changed[: block.start("code")] + indented + changed[block.end("code") :]
    return Migrated(changed, tuple(sorted(findings, key=lambda one: (one.line, one.column))), usages)


def _in_document(findings: Iterable[Finding], block: re.Match[str], text: str) -> list[Finding]:
    first, indent = text.count("\n", 0, block.start("code")), len(block["indent"])
    return [replace(one, line=one.line + first, column=one.column + indent) for one in findings]


def _code(block: re.Match[str]) -> str:
    return _dedented(block["code"], block["indent"])


def _dedented(code: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True)) if indent else code
