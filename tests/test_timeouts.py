"""Timers: what every form of `timeout=` means for a plain call and for a stream."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from vllm_connect import Timeouts
from vllm_connect.settings import timers

HTTPX = SimpleNamespace(connect=1.0, read=2.0, write=3.0, pool=4.0)
OURS = Timeouts(connect=1, first_token=2, between_tokens=3, total=4, ready=5)

# setting, streamed -> connect, first token, between tokens, total, ready
MEANINGS: list[tuple[Any, bool, tuple[float | None, ...]]] = [
    (7.0, False, (7, None, None, 7, 0)),
    (7, True, (7, 7, 7, None, 0)),
    (HTTPX, False, (1, 2, 2, None, 0)),
    (HTTPX, True, (1, 2, 2, None, 0)),
    ((1, 2, 3, 4), True, (1, 2, 2, None, 0)),
    (None, False, (None, None, None, None, 0)),
    (None, True, (None, None, None, None, 0)),
    (OURS, False, (1, None, None, 4, 5)),
    (OURS, True, (1, 2, 3, 4, 5)),
]


@pytest.mark.parametrize(("setting", "streamed", "meaning"), MEANINGS)
def test_meaning(setting: Any, meaning: tuple[float | None, ...], *, streamed: bool) -> None:
    """Each form keeps its meaning from the SDK; ours sets each timer by name."""
    result = timers(setting, streamed=streamed)
    assert (result.connect, result.first_token, result.between_tokens, result.total, result.ready) == meaning
