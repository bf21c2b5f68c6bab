"""One file as it is read: what it is by its name, its text with its encoding, and whether it is worth a closer look."""

from __future__ import annotations

import codecs
import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["MOST_BYTES", "Kind", "Source", "Unreadable", "kind_of", "looks_relevant", "read"]

Kind = Literal[
    "python",
    "notebook",
    "markdown",
    "env",
    "yaml",
    "toml",
    "ini",
    "json",
    "shell",
    "dockerfile",
    "javascript",
    "other",
]
# Source code beyond this is generated, or data.
MOST_BYTES = 4 * 2**20

SUFFIXES: dict[str, Kind] = {
    ".py": "python",
    ".pyi": "python",
    ".pyw": "python",
    ".ipynb": "notebook",
    ".md": "markdown",
    ".markdown": "markdown",
    ".mdx": "markdown",
    ".env": "env",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".ini": "ini",
    ".cfg": "ini",
    ".properties": "ini",
    ".json": "json",
    ".sh": "shell",
    ".bash": "shell",
    ".zsh": "shell",
    ".fish": "shell",
    ".envrc": "shell",
    ".dockerfile": "dockerfile",
    ".js": "javascript",
    ".jsx": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".ts": "javascript",
    ".tsx": "javascript",
    ".mts": "javascript",
    ".cts": "javascript",
    ".vue": "javascript",
    ".svelte": "javascript",
}
NAMES: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"\.env(\..*)?|.*\.env(\..*)?"), "env"),
    (re.compile(r"\.envrc"), "shell"),
    (re.compile(r"(Docker|Container)file(\..*)?"), "dockerfile"),
    (re.compile(r"\.(ba|z)shrc|\.(bash_)?profile|(GNU)?[Mm]akefile|justfile"), "shell"),
)
SHEBANG = re.compile(rb"#![^\n]*\b(python|sh|bash|zsh|fish)[\d.]*\b")
# What code that talks to OpenAI, or to vLLM as if to it, does not do without. A client that comes from another module
# of the project shows itself by what is called on it.
WORDS = re.compile(
    rb"openai|vllm|llama_index|(?:from|import) agents\b|litellm|tiktoken|dspy|gpt-|text-embedding-|text-davinci|guided_|reasoning_content"
    rb"|completions\.(create|parse|stream|with_)|embeddings\.create|responses\.(create|parse|stream)|best_of|logits_processors|init_chat_model"
    rb"|\[[\"']choices[\"']\]|(?:dim\w{0,8}|size|vector)[\"']?\s?[=(:]\s?(?:1536|3072)\b",
    re.IGNORECASE,
)


class Unreadable(Exception):
    """A file that cannot be read as text; its text says why, and what to do."""


@dataclass(frozen=True)
class Source:
    """A file's text as it stands: line ends are kept, a byte order mark is not part of the text."""

    path: Path
    kind: Kind
    text: str
    encoding: str
    mark: bytes = b""

    def encoded(self, text: str) -> bytes:
        """Return another text as bytes of this file; raises Unreadable where its encoding has no such characters."""
        try:
            return self.mark + text.encode(self.encoding)
        except UnicodeEncodeError:
            raise Unreadable(f"the new text cannot be written in {self.encoding}") from None


def kind_of(path: Path, start: bytes = b"") -> Kind:
    """Return what a file is, by its name, or by its first line where it has no suffix."""
    for pattern, kind in NAMES:
        if pattern.fullmatch(path.name):
            return kind
    if path.suffix:
        return SUFFIXES.get(path.suffix.lower(), "other")
    found = SHEBANG.match(start)
    if found is None:
        return "other"
    return "python" if found[1] == b"python" else "shell"


def looks_relevant(content: bytes) -> bool:
    """Whether a file holds a word without which there is nothing to migrate."""
    return WORDS.search(content) is not None


def read(path: Path, *, is_relevant: bool = False) -> Source | None:
    """Return a file as text, None for one that holds nothing to migrate, unless it is known to be relevant.

    Raises Unreadable and OSError.
    """
    if not path.is_file():
        raise Unreadable("it is no file that has an end")  # a pipe waits for who writes into it
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    kind = kind_of(path, content[:200])
    if kind == "other" or not (is_relevant or looks_relevant(content)):
        return None
    if len(content) > MOST_BYTES:
        raise Unreadable(f"it is larger than {MOST_BYTES // 2**20} MiB; split it, or look at it yourself")
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    encoding = _encoding(content) if kind == "python" else "utf-8"
    try:
        text = content.removeprefix(mark).decode(encoding)
    except UnicodeDecodeError as wrong:
        raise Unreadable(f"byte {wrong.start} is not {encoding}; say its encoding, or convert it") from None
    except (LookupError, UnicodeError):
        raise Unreadable(f"{encoding}, which it names, is no encoding of text") from None
    source = Source(path, kind, text, encoding, mark)
    if source.encoded(text) != content:  # such as UTF-7, where one text can be written in several ways
        raise Unreadable(f"what is read as {encoding} is not written back the same; convert it to UTF-8")
    return source


def _encoding(content: bytes) -> str:
    """Return the encoding that a Python source names (PEP 263)."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError:
        raise Unreadable("it names an encoding that Python does not know, or is not UTF-8") from None
    return "utf-8" if encoding == "utf-8-sig" else encoding
