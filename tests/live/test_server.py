"""`client.server` against real vLLM: a generating and an embedding server."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest

from tests.callers import Caller, every_kind
from tests.gateway import gateway
from tests.live.servers import Server
from vllm_connect import OpenAI
from vllm_connect.simulator import Reply

MESSAGES: Any = [{"role": "user", "content": "Tell me about the sea."}]
GENERATES = {"chat", "completions", "responses", "messages", "tokenize", "detokenize"}
POOLS = {"embeddings", "pooling", "score", "rerank", "tokenize", "detokenize"}


@pytest.fixture
def servers(chat_server: Server, embed_server: Server) -> dict[str, Server]:
    """Both kinds of server, by the kind: asked for before a test's time runs, as they take long to start."""
    return {"chat": chat_server, "embed": embed_server}


def set_up(server: Server) -> dict[str, Any]:
    """Return the arguments of a client for a server."""
    return {"base_url": server.url, "api_key": server.options.api_key}


@every_kind
def test_info(caller: Caller, chat_server: Server, embed_server: Server) -> None:
    """A generating and an embedding server are told apart, with version, models, context and need of a key."""
    chat = caller.run(lambda client: client.server.info(), **set_up(chat_server))
    assert (chat.version, chat.kind, chat.needs_key, chat.is_vllm) == ("0.32.0", "generate", True, True)
    assert (chat.serves, chat.max_model_len) == (GENERATES, 1024)
    assert [model.id for model in chat.models] == ["tiny", "tiny-alias"]
    embed = caller.run(lambda client: client.server.info(), **set_up(embed_server))
    assert (embed.kind, embed.needs_key, embed.serves, embed.max_model_len) == ("pooling", False, POOLS, 256)


@every_kind
def test_info_without_openapi(caller: Caller, chat_server: Server, embed_server: Server) -> None:
    """What a server serves is found out by GET alone where the list of its routes is hidden, and the engine is left alone."""
    for server, serves in ((chat_server, GENERATES), (embed_server, POOLS)):
        with gateway(server.root_url, {"/openapi.json": Reply(404)}) as url:
            given = {**set_up(server), "base_url": url}
            before = caller.run(lambda client: client.server.metrics(), **given)
            assert caller.run(lambda client: client.server.info(), **given).serves == serves
            after = caller.run(lambda client: client.server.metrics(), **given)
            assert after.prompt_tokens == before.prompt_tokens


@every_kind
@pytest.mark.parametrize("kind", ["chat", "embed"])
def test_tokens(caller: Caller, servers: dict[str, Server], kind: str) -> None:
    """Text becomes tokens, and text again."""
    given = set_up(servers[kind])
    told = caller.run(lambda client: client.server.tokenize("hello sea", add_special_tokens=False), **given)
    assert told.count == len(told.tokens) > 0
    assert caller.run(lambda client: client.server.detokenize(told.tokens), **given) == "hello sea"


@every_kind
def test_tokens_of_a_conversation(caller: Caller, chat_server: Server) -> None:
    """A conversation is counted as the server counts it when it answers."""
    given = set_up(chat_server)
    told = caller.run(
        lambda client: client.server.tokenize(messages=MESSAGES, return_token_strs=True), **given
    )
    answer = caller.run(
        lambda client: client.chat.completions.create(messages=MESSAGES, max_tokens=1), **given
    )
    assert told.count == answer.usage.prompt_tokens == len(told.token_strs)
    assert told.max_model_len == 1024


@every_kind
def test_scores(caller: Caller, embed_server: Server) -> None:
    """Scores are the likeness of the embeddings, ranks follow the scores, and the pooler's output is the embedding."""
    given = set_up(embed_server)
    texts = ["a boat at sea", "a tax return", "the ocean"]
    scores = caller.run(lambda client: client.server.score("the sea", texts), **given)
    told = [one.score for one in scores.data]
    embedded = caller.run(lambda client: client.embeddings.create(input=["the sea", *texts]), **given)
    query, *vectors = [one.embedding for one in embedded.data]
    likeness = [math.fsum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
    assert told == pytest.approx(likeness, abs=1e-3)
    assert scores.usage.prompt_tokens > 0
    ranking = caller.run(lambda client: client.server.rerank("the sea", texts), **given)
    order = sorted(range(3), key=lambda index: -told[index])
    assert [one.index for one in ranking.results] == order
    assert [one.document.text for one in ranking.results] == [texts[index] for index in order]
    pooled = caller.run(lambda client: client.server.pooling(texts), **given)
    assert pooled.data[2].data == pytest.approx(vectors[2], abs=1e-3)


@every_kind
def test_metrics(caller: Caller, chat_server: Server) -> None:
    """The counters move by what a request used; every line of the text is a sample."""
    given = set_up(chat_server)
    before = caller.run(lambda client: client.server.metrics(), **given)
    answer = caller.run(
        lambda client: client.completions.create(prompt="the sea", max_tokens=7, temperature=0), **given
    )
    after = caller.run(lambda client: client.server.metrics(), **given)
    assert after.generation_tokens - before.generation_tokens == answer.usage.completion_tokens
    assert after.prompt_tokens - before.prompt_tokens == answer.usage.prompt_tokens
    assert after.finished - before.finished == 1
    assert (after.running, after.waiting, after.preemptions, after.rejected) == (0, 0, 0, 0)
    assert 0 <= after.kv_cache_usage <= 1
    lines = chat_server.ask("GET", "/metrics").body.decode().splitlines()
    assert len(after.samples) == len([line for line in lines if line and not line.startswith("#")])


@every_kind
def test_small_answers(caller: Caller, chat_server: Server) -> None:
    """Version, health and load are what vLLM says."""
    given = set_up(chat_server)
    assert caller.run(lambda client: client.server.version(), **given) == "0.32.0"
    assert caller.run(lambda client: client.server.health(), **given) is True
    assert caller.run(lambda client: client.server.load(), **given) == 0


MISSING: Any = [
    ("chat", lambda client: client.server.score("a", "b"), r"has no /score: .* with an embedding"),
    ("chat", lambda client: client.server.classify("a"), r"has no /classify: .* with a classification model"),
    ("chat", lambda client: client.server.pooling("a"), r"has no /pooling: .* with any pooling model"),
    ("chat", lambda client: client.server.sleep(), r"--enable-sleep-mode .* VLLM_SERVER_DEV_MODE=1"),
    ("chat", lambda client: client.server.abort("a"), r"VLLM_SERVER_DEV_MODE=1 or with --tokens-only"),
    (
        "chat",
        lambda client: client.server.load_lora_adapter("a", "/b"),
        r"--enable-lora and the variable VLLM_ALLOW_RUNTIME_LORA_UPDATING=1",
    ),
    (
        "chat",
        lambda client: client.embeddings.create(input="a"),
        r"has no /v1/embeddings: .* with an embedding model",
    ),
    (
        "embed",
        lambda client: client.completions.create(prompt="a"),
        r"with a model that generates text",
    ),
    (
        "embed",
        lambda client: client.server.classify("a"),
        r"has no /classify: .* with a classification model",
    ),
]


@every_kind
@pytest.mark.parametrize(("kind", "call", "told"), MISSING)
def test_missing_routes(caller: Caller, servers: dict[str, Server], kind: str, call: Any, told: str) -> None:
    """A route that vLLM does not have names the option or the kind of model that brings it."""
    with pytest.raises(openai.NotFoundError, match=told):
        caller.run(call, **set_up(servers[kind]))


def test_scale_out(chat_server: Server) -> None:
    """A route that is there and barred is told in vLLM's words and ours, which name the option."""
    with (
        OpenAI(**set_up(chat_server)) as client,
        pytest.raises(
            openai.PermissionDeniedError,
            match=r"to enable them\. .* Start the server with --enable-scale-out\.$",
        ),
    ):
        client.post(f"{chat_server.root_url}/inference/v1/generate", cast_to=object, body={})


@every_kind
def test_classify(caller: Caller, classify_server: Server) -> None:
    """A classifier names the class of each text, with the probability of every class."""
    given = set_up(classify_server)
    classes = caller.run(lambda client: client.server.classify(["The sea", "A tax form"]), **given)
    assert [one.index for one in classes.data] == [0, 1]
    for one in classes.data:
        assert (one.num_classes, len(one.probs)) == (3, 3)
        assert one.label == f"LABEL_{one.probs.index(max(one.probs))}"
        assert math.isclose(math.fsum(one.probs), 1, abs_tol=1e-3)
    facts = caller.run(lambda client: client.server.info(), **given)
    assert (facts.kind, facts.serves) == ("pooling", {"classify", "pooling", "tokenize", "detokenize"})
    with pytest.raises(openai.NotFoundError, match="has no /score"):
        caller.run(lambda client: client.server.score("a", "b"), **given)
