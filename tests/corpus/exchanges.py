"""Answers in their very bytes: `recorded.jsonl` from real vLLM, `odd.jsonl` made by hand.

One exchange a line. `answer` has the body of a plain answer, or the payloads of a stream's events; where it was
recorded, `server`, `path` and `request` say how to ask for it again (`tests/live/test_corpus.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["RECORDED_FILE", "Exchange", "odd", "recorded"]

HERE = Path(__file__).parent
RECORDED_FILE = HERE / "recorded.jsonl"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer; `form` names the form of `vllm_connect.client.replies`, "ERROR" an error's body."""

    name: str
    form: str
    answer: list[str]
    server: str = ""
    path: str = ""
    request: dict[str, Any] | None = field(default=None, hash=False)

    @property
    def bodies(self) -> list[bytes]:
        """What is read each by itself: the body, or each payload."""
        return [text.encode() for text in self.answer]


def recorded() -> list[Exchange]:
    return read(RECORDED_FILE)


def odd() -> list[Exchange]:
    return read(HERE / "odd.jsonl")


def read(file: Path) -> list[Exchange]:
    return [Exchange(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
