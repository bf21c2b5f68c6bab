"""Which routes a simulated server has, and the small ones among them."""

from typing import Any

import pytest

from tests.simulator.simulated import CHAT, MESSAGES, ask
from vllm_connect.simulator import Simulator

GENERATE = {
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/responses/{response_id}",
    "/v1/responses/{response_id}/cancel", "/v1/chat/completions/batch", "/v1/messages", "/v1/messages/count_tokens",
    "/generative_scoring", "/scale_elastic_ep", "/is_scaling_elastic_ep",
}  # fmt: skip
ANY = {
    "/load", "/version", "/kv_event_sources", "/health", "/metrics", "/tokenize", "/detokenize", "/v1/models",
    "/v1/systemone", "/ping", "/invocations",
}  # fmt: skip
SCORE = {"/score", "/v1/score", "/rerank", "/v1/rerank", "/v2/rerank"}

SERVED: list[tuple[dict[str, Any], set[str]]] = [
    ({}, ANY | GENERATE),
    ({"kind": "pooling"}, ANY | SCORE | {"/pooling", "/v1/embeddings", "/v2/embed"}),
    ({"kind": "pooling", "pooling_task": "classify"}, ANY | {"/pooling", "/classify"}),
    ({"kind": "pooling", "pooling_task": "classify", "labels": ("LABEL_0",)}, ANY | SCORE | {"/pooling", "/classify"}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "paths"), SERVED)
def test_listed_routes(options: dict[str, Any], paths: set[str]) -> None:
    """A server's document lists the routes that its task brings, and no other."""
    with Simulator(**options) as server:
        assert set(ask(server, "GET", "/openapi.json").json()["paths"]) == paths


def test_listed_bodies(generate: Simulator, pooling: Simulator) -> None:
    """The document names each shape of a body with its parameters."""
    documents = [ask(server, "GET", "/openapi.json").json() for server in (generate, pooling)]
    chat, embedding = (
        document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        for document, path in zip(documents, (CHAT, "/v1/embeddings"), strict=True)
    )
    assert chat == {"$ref": "#/components/schemas/ChatCompletionRequest"}
    assert len(embedding["anyOf"]) == 5
    schemas = documents[1]["components"]["schemas"]
    assert schemas["ScoreTextRequest"]["required"] == ["text_1", "text_2"]
    assert "messages" not in schemas["EmbeddingCompletionRequest"]["properties"]


def test_closed_routes(generate: Simulator) -> None:
    """Scale-out routes are there but closed: 403, and 405 for another method."""
    closed = ask(generate, "POST", "/v1/chat/completions/render", {})
    assert (closed.status, closed.error["type"]) == (403, "PermissionDeniedError")
    assert "--enable-scale-out" in closed.error["message"]
    assert ask(generate, "GET", "/inference/v1/generate").headers["allow"] == "POST"


def test_development() -> None:
    """Development mode brings routes that hold work, drop caches and tell of the server; each checks its query."""
    with Simulator(dev_mode=True) as server:
        assert ask(server, "POST", "/pause").json() == {"status": "paused"}
        assert ask(server, "GET", "/is_paused").json() == {"is_paused": True}
        assert ask(server, "POST", "/resume").json() == {"status": "resumed"}
        assert ask(server, "POST", "/reset_prefix_cache").json() == {"success": True}
        assert ask(server, "POST", "/abort_requests", {"request_ids": ["a", "b"]}).json() == {
            "status": "aborted",
            "aborted": 2,
        }
        assert ask(server, "GET", "/server_info?config_format=json").json().keys() == {
            "vllm_config",
            "vllm_env",
            "system_env",
        }
        wrong = ask(server, "POST", "/sleep?level=3")
    assert wrong.error == {
        "message": "1 validation error:\n  {'type': 'less_than_equal', 'loc': 'query.level',"
        " 'msg': 'Input should be less than or equal to 2', 'input': '3', 'ctx': {'le': 2}}",
        "type": "Bad Request",
        "param": "query.level",
        "code": 400,
    }


ASKED = {"Origin": "http://page.example", "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize(
    ("origins", "status", "body", "allowed"),
    [
        ((), 400, b"Disallowed CORS origin", None),
        (("*",), 200, b"OK", "*"),
        (("http://page.example",), 200, b"OK", "http://page.example"),
    ],
)
def test_other_origins(origins: tuple[str, ...], status: int, body: bytes, allowed: str | None) -> None:
    """A browser that asks first hears whether its page may; without allowed origins none may."""
    with Simulator(allowed_origins=origins, api_key="key") as server:
        asked = ask(server, "OPTIONS", CHAT, headers=ASKED)
        sent = ask(server, "GET", "/version", headers={"Origin": "http://page.example"})
    assert (asked.status, asked.body) == (status, body)
    assert asked.headers.get("access-control-allow-origin") == allowed
    assert sent.headers.get("access-control-allow-origin") == allowed
    assert sent.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("body", "object_"),
    [
        ({"messages": MESSAGES, "max_tokens": 1}, "chat.completion"),
        ({"prompt": "x", "max_tokens": 1, "model": "ignored"}, "text_completion"),
    ],
)
def test_invocations(generate: Simulator, body: Any, object_: str) -> None:
    """A body alone says what is asked for; its model does not count."""
    answer = ask(generate, "POST", "/invocations", body)
    assert (answer.status, answer.json()["object"]) == (200, object_)


def test_invocations_of_nothing(pooling: Simulator) -> None:
    """A body that no route takes is refused with the names of all that there are."""
    text = ask(pooling, "POST", "/invocations", {"prompt": "x"}).error["message"]
    assert text.startswith("Cannot find suitable handler for request. Expected one of: ['typing.Annotated[")
    assert "'RerankRequest', " in text


def test_tokenizer_info() -> None:
    """A server that was told to shows what its tokenizer was made from."""
    with Simulator(enable_tokenizer_info_endpoint=True, max_model_len=99) as server:
        told = ask(server, "GET", "/tokenizer_info").json()
    assert (told["model_max_length"], told["eos_token"]) == (99, "<|im_end|>")
    assert "add_generation_prompt" in told["chat_template"]


def test_exported_metrics(generate: Simulator) -> None:
    """Every path that begins with /metrics is answered, by whatever method."""
    for method, path in (("POST", "/metrics"), ("GET", "/metrics/more")):
        answer = ask(generate, method, path)
        assert (answer.status, answer.headers["transfer-encoding"]) == (200, "chunked")
        assert b"vllm:num_requests_running" in answer.body
