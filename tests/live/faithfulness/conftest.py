"""Each real server with a simulator that is set up as it is."""

import contextlib
import http.client
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from tests.live.faithfulness.comparison import Answer
from tests.live.faithfulness.exchanges import Exchange, ServerName
from tests.live.servers import Server
from vllm_connect.simulator import Simulator

# Which vLLM `./dev live` started; the others than the tested one show how well its predecessors are simulated.
VERSION = os.environ.get("LIVE_VLLM_VERSION", "0.32.0")


class Pair(NamedTuple):
    """A real server and its stand-in."""

    real: Server
    simulated: Simulator

    def ask(self, exchange: Exchange) -> tuple[Answer, Answer]:
        """Ask both the same; the first answer is the real one."""
        key = self.real.options.api_key if exchange.with_key else None
        stand_in = http.client.HTTPConnection("127.0.0.1", self.simulated.port, timeout=60)
        return _answer(self.real.connection(timeout=60), exchange, key), _answer(stand_in, exchange, key)


@pytest.fixture(scope="session")
def pairs(
    chat_server: Server, uds_server: Server, embed_server: Server, classify_server: Server
) -> Iterator[Mapping[ServerName, Pair]]:
    """The servers of the live tests, each with its stand-in."""
    with (
        Simulator(
            version=VERSION,
            models=chat_server.options.names,
            api_key=chat_server.options.api_key,
            max_model_len=1024,
        ) as plain,
        Simulator(
            version=VERSION,
            models=uds_server.options.names,
            max_model_len=1024,
            reasoning_parser="qwen3",
            enable_lora=True,
            allow_runtime_lora_updating=True,
            lora_paths=("/adapters",),
            max_num_queued_reqs=8,
            enable_server_load_tracking=True,
            enable_request_id_headers=True,
            enable_per_request_metrics=True,
            enable_prompt_tokens_details=True,
            enable_tokenizer_info_endpoint=True,
            enable_responses_api_store=True,
            dev_mode=True,
        ) as rich,
        Simulator(
            version=VERSION, kind="pooling", models=embed_server.options.names, max_model_len=256
        ) as embedding,
        Simulator(
            version=VERSION,
            kind="pooling",
            pooling_task="classify",
            labels=("LABEL_0", "LABEL_1", "LABEL_2"),
            models=classify_server.options.names,
            max_model_len=1024,
        ) as classifying,
    ):
        yield {
            "plain": Pair(chat_server, plain),
            "rich": Pair(uds_server, rich),
            "embedding": Pair(embed_server, embedding),
            "classifying": Pair(classify_server, classifying),
        }


def _answer(opened: http.client.HTTPConnection, exchange: Exchange, key: str | None) -> Answer:
    """Ask by the standard library's own client, on a connection that serves this one request."""
    headers = {**exchange.headers, **({"Authorization": f"Bearer {key}"} if key else {})}
    with contextlib.closing(opened) as connection:
        connection.request(exchange.method, exchange.path, exchange.body, headers)
        response = connection.getresponse()
        return Answer(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
