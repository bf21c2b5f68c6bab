"""Python blocks of Markdown documents; all between them stays as it is."""

from __future__ import annotations

import re
import textwrap

from vllm_connect.migrate.cells import Cell, migrated_cells
from vllm_connect.migrate.options import Options
from vllm_connect.migrate.project import Project
from vllm_connect.migrate.python import Migrated

__all__ = ["migrated_markdown"]

BLOCK = re.compile(
    r"^(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})[ \t]*(?:\{?\.?)(?:python3?|py)\b[^\n`]*\n"
    r"(?P<code>.*?)^(?P=indent)(?P=fence)[`~]*[ \t]*\r?$",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)


def migrated_markdown(text: str, file: str, project: Project, options: Options) -> Migrated:
    """Return a document with its Python blocks as they are for vLLM; raises Crashed."""
    blocks = [one for one in BLOCK.finditer(text) if ">" not in one["indent"]]
    cells = [
        Cell(_dedented(one["code"], one["indent"]), text.count("\n", 0, one.start("code")) + 1)
        for one in blocks
    ]
    news, findings = migrated_cells(cells, file, project, options)
    for block, cell, new in reversed([*zip(blocks, cells, news, strict=True)]):
        if new != cell.text:
            indented = textwrap.indent(new, block["indent"]) if block["indent"] else new
            text = text[: block.start("code")] + indented + text[block.end("code") :]
    return Migrated(text, tuple(findings))


def _dedented(code: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True)) if indent else code
