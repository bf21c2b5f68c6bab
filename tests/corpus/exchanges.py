"""Answers in their very bytes: `recorded.jsonl` from real vLLM, `odd.jsonl` made by hand.

One exchange a line. To record another, add its line with an empty `answer` and run
`LIVE_RECORD=1 ./dev live -k corpus`, which asks for all of them again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Exchange", "odd", "record", "recorded"]

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Exchange:
    """An answer, and how it was asked for where it was recorded.

    `form` names the form of `vllm_connect.client.replies`, or is "ERROR". `answer` has the body of a plain answer, or
    the payloads of a stream's events. `server` is the server of `tests/live` that was asked.
    """

    name: str
    form: str
    answer: list[str]
    server: str = ""
    path: str = ""
    request: dict[str, Any] | None = None

    @property
    def bodies(self) -> list[bytes]:
        """What is read each by itself: the body, or each payload."""
        return [text.encode() for text in self.answer]


def recorded() -> list[Exchange]:
    return read(HERE / "recorded.jsonl")


def odd() -> list[Exchange]:
    return read(HERE / "odd.jsonl")


def read(file: Path) -> list[Exchange]:
    return [Exchange(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def record(exchanges: Iterable[Exchange]) -> None:
    lines = (json.dumps(dataclasses.asdict(exchange)) + "\n" for exchange in exchanges)
    (HERE / "recorded.jsonl").write_text("".join(lines), encoding="utf-8")
