"""One of two real servers ends under load: the short form of `./dev proof failover`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.failover import FAULTS, Load, Report, Texts, engine_apart, references
from tests.live.servers import Options, Server

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
    report = Report(load.calls, texts)
    assert report.wrong == []
    assert 0 < before < report.done
    assert report.longest < 20
