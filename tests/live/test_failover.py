"""One of two real servers ends under load: the short form of `./dev proof failover`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.failover import (
    FAULTS,
    Asked,
    Load,
    Report,
    Texts,
    ended,
    engine_apart,
    is_greedy,
    references,
)
from tests.live.servers import Options, Server
from vllm_connect import OpenAI

IN_FLIGHT = 16
BEFORE, BEHIND = 3.0, 4.0
SUDDEN = ("SIGTERM", "SIGKILL")


@pytest.fixture(scope="module")
def victims(launch: Callable[[Options], Server], chat_model: Path) -> dict[str, Server]:
    """A server for each fault, whose engine is a process of its own, as in production."""
    started = {fault: launch(engine_apart(chat_model)) for fault in SUDDEN}
    for server in started.values():
        server.wait_ready()
    return started


@pytest.fixture(scope="module")
def texts(victims: dict[str, Server], chat_server: Server) -> Texts:
    """What the servers say to each prompt while nothing fails."""
    return references(chat_server, *victims.values())


@pytest.mark.parametrize("fault", SUDDEN)
def test_failover(fault: str, victims: dict[str, Server], chat_server: Server, texts: Texts) -> None:
    """No call fails of which nothing was delivered, and none that was broken off is taken for done."""
    chance = random.Random(1)
    victim, key = victims[fault], chat_server.options.api_key
    with Load([victim.url, chat_server.url], IN_FLIGHT, chance, texts, key=key) as load:
        time.sleep(BEFORE)
        before = len(load.calls)
        FAULTS[fault](victim, chance, load)
        time.sleep(BEHIND)
    report = Report(load.calls, texts, chat_server)
    assert report.wrong == []
    assert 0 < before < report.done
    assert report.otherwise <= report.done // 10
    assert report.longest < 20


def test_what_is_greedy(chat_server: Server) -> None:
    """An answer that the model gives is one that it rates so, and neither another one's end nor a shorter one is."""
    with OpenAI(base_url=chat_server.url, api_key=chat_server.options.api_key) as client:
        one, other = (ended(client, Asked("completions", False, number)).told for number in (1, 2))
    assert is_greedy(chat_server, one)
    half = len(one.tokens) // 2
    one.tokens[half:] = other.tokens[half:]
    assert not is_greedy(chat_server, one)
    del other.tokens[-1]
    assert not is_greedy(chat_server, other)
