"""The simulator beside real vLLM: both are asked the same, and their answers compared."""

import contextlib
import http.client
from collections.abc import Iterator, Mapping

import pytest

from tests.live.faithfulness.comparison import Answer, differences
from tests.live.faithfulness.exchanges import TABLE, Exchange, ServerName
from tests.live.faithfulness.known import DIFFERENCES
from tests.live.servers import Server
from vllm_connect.simulator import Simulator

Pair = tuple[Server, Simulator]


@pytest.fixture(scope="session")
def pairs(
    chat_server: Server, uds_server: Server, embed_server: Server
) -> Iterator[Mapping[ServerName, Pair]]:
    """Each real server with a simulator that is set up as it is."""
    with (
        Simulator(
            models=chat_server.options.names, api_key=chat_server.options.api_key, max_model_len=1024
        ) as plain,
        Simulator(
            models=uds_server.options.names,
            max_model_len=1024,
            reasoning_parser="qwen3",
            enable_lora=True,
            max_num_queued_reqs=8,
            enable_server_load_tracking=True,
            enable_request_id_headers=True,
            dev_mode=True,
        ) as rich,
        Simulator(kind="pooling", models=embed_server.options.names, max_model_len=256) as embedding,
    ):
        yield {
            "plain": (chat_server, plain),
            "rich": (uds_server, rich),
            "embedding": (embed_server, embedding),
        }


@pytest.mark.parametrize("exchange", TABLE, ids=lambda exchange: exchange.name)
def test_answers_alike(exchange: Exchange, pairs: Mapping[ServerName, Pair]) -> None:
    """Status, headers, keys, types, telling values, frames of a stream and error texts are the real server's.

    A known difference must still be one: when it is gone, its row has to go.
    """
    real, simulated = pairs[exchange.server]
    key = real.options.api_key
    for step in exchange.before:
        ask_both(real, simulated, step, key)
    found = differences(*ask_both(real, simulated, exchange, key))
    for step in exchange.after:
        ask_both(real, simulated, step, key)
    assert bool(found) == (exchange.name in DIFFERENCES), "\n".join(found) or "no longer a difference"


def test_every_known_difference_is_asked_for() -> None:
    """The list of differences names requests of the table, each of which stands there once."""
    names = [exchange.name for exchange in TABLE]
    assert len(set(names)) == len(names) >= 80
    assert set(DIFFERENCES) <= set(names)


def ask_both(
    real: Server, simulated: Simulator, exchange: Exchange, key: str | None
) -> tuple[Answer, Answer]:
    stand_in = http.client.HTTPConnection("127.0.0.1", simulated.port, timeout=60)
    return answer(real.connection(timeout=60), exchange, key), answer(stand_in, exchange, key)


def answer(opened: http.client.HTTPConnection, exchange: Exchange, key: str | None) -> Answer:
    """Ask by the standard library's own client, on a connection that serves this one request."""
    headers = dict(exchange.headers)
    if key and exchange.with_key:
        headers["Authorization"] = f"Bearer {key}"
    with contextlib.closing(opened) as connection:
        connection.request(exchange.method, exchange.path, exchange.body, headers)
        response = connection.getresponse()
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
