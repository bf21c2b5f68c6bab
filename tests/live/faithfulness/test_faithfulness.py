"""The simulator beside real vLLM: both are asked the same, and their answers compared."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.live.faithfulness.comparison import differences
from tests.live.faithfulness.conftest import Pair
from tests.live.faithfulness.exchanges import SERVERS, TABLE, Exchange, ServerName
from tests.live.faithfulness.known import DIFFERENCES

# A real server that stalls puts all tokens into one chunk, whose shape then stands for that of others.
TRIES = 3
every_server = pytest.mark.parametrize("server", SERVERS)


@pytest.mark.parametrize("exchange", TABLE, ids=lambda exchange: exchange.name)
def test_answers_alike(exchange: Exchange, pairs: Mapping[ServerName, Pair]) -> None:
    """Status, headers, keys, types, telling values, frames of a stream and error texts are the real server's.

    A known difference must still be one: when it is gone, its row has to go.
    """
    pair = pairs[exchange.server]
    is_known = exchange.name in DIFFERENCES
    tries = (found_between(pair, exchange) for _ in range(TRIES))
    found = next((found for found in tries if bool(found) == is_known), None)
    assert found is not None, found_between(pair, exchange) or "no longer a difference"


def found_between(pair: Pair, exchange: Exchange) -> list[str]:
    for step in exchange.before:
        pair.ask(step)
    found = differences(*pair.ask(exchange))
    for step in exchange.after:
        pair.ask(step)
    return found


def test_every_known_difference_is_asked_for() -> None:
    """The list of differences names requests of the table, each of which stands there once."""
    names = [exchange.name for exchange in TABLE]
    assert len(set(names)) == len(names) >= 80
    assert set(DIFFERENCES) <= set(names)


@every_server
def test_routes_alike(server: ServerName, pairs: Mapping[ServerName, Pair]) -> None:
    """/openapi.json lists the same routes, and the same parameters of every body that both describe."""
    real, simulated = (
        json.loads(answer.body) for answer in pairs[server].ask(reading("/openapi.json", server))
    )
    assert routes(simulated) == routes(real)
    theirs = bodies(real)
    for name, properties in bodies(simulated).items():
        assert properties == theirs[name], name


@every_server
def test_metrics_alike(server: ServerName, pairs: Mapping[ServerName, Pair]) -> None:
    """/metrics has vLLM's own families by the same names, of the same kinds, with labels that vLLM's have too."""
    real, simulated = (
        families(answer.body.decode()) for answer in pairs[server].ask(reading("/metrics", server))
    )
    for name, (kind, labels) in simulated.items():
        assert real[name][0] == kind, name
        assert labels <= real[name][1], name
    assert len([name for name in simulated if name.startswith("vllm:")]) >= 10


def reading(path: str, server: ServerName) -> Exchange:
    return Exchange(name=path, server=server, method="GET", path=path)


def routes(document: Any) -> set[tuple[str, str]]:
    return {(method, path) for path, methods in document["paths"].items() for method in methods}


def bodies(document: Any) -> dict[str, set[str]]:
    schemas = document["components"]["schemas"]
    return {name: set(schema.get("properties", ())) for name, schema in schemas.items()}


def families(text: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return kind and labels of each family that has samples; the labels of its first one stand for all."""
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    found = {}
    for name, kind in kinds.items():
        sample = re.search(
            rf"^{re.escape(name)}(?:_bucket|_sum|_count)?(?:{{(.*)}})? \S+$", text, re.MULTILINE
        )
        if sample:
            labels = re.findall(r'(\w+)="', sample[1] or "")
            found[name] = (kind, frozenset(labels))
    return found
