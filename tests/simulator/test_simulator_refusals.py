"""What the simulator refuses, in vLLM 0.32's words."""

from typing import Any

import pytest

from tests.simulator.simulated import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, ask
from vllm_connect.simulator import Simulator

CONVERSATION = {"messages": MESSAGES}
PROMPT = {"prompt": "Once"}

# path, body, status, type, param, text
REFUSED: list[tuple[str, Any, int, str, str | None, str]] = [
    (CHAT, CONVERSATION | {"model": "nope"}, 404, "NotFoundError", "model",
     "The model `nope` does not exist. Valid aliases: sim-model, sim-alias."),
    (CHAT, CONVERSATION | {"model": "/home/me/weights"}, 404, "NotFoundError", "model",
     "The model `<path>` does not exist. Valid aliases: sim-model, sim-alias."),
    (CHAT, {}, 400, "Bad Request", "body.messages",
     ("1 validation error:\n  {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required',"
     " 'input': '<dict of 0 items>'}")),
    (CHAT, CONVERSATION | {"temperature": "x", "n": 1.5}, 400, "Bad Request", "body.n",
     ("2 validation errors:\n  {'type': 'int_from_float', 'loc': 'body.n', 'msg': 'Input should be a valid"
     " integer, got a number with a fractional part', 'input': '1.5'}\n  {'type': 'float_parsing', 'loc':"
     " 'body.temperature', 'msg': 'Input should be a valid number, unable to parse string as a number',"
     " 'input': 'x'}")),
    (CHAT, b'{"messages": [{"role"', 400, "Bad Request", "body.21",
     ("1 validation error:\n  {'type': 'json_invalid', 'loc': 'body.21', 'msg': 'JSON decode error', 'input':"
     " '<dict of 0 items>', 'ctx': {'error': \"Expecting ':' delimiter\"}}")),
    (CHAT, CONVERSATION | {"max_tokens": 5000}, 400, "BadRequestError", "max_tokens",
     ("max_tokens=5000 cannot be greater than max_model_len=4096. Please request fewer output tokens."
     " (parameter=max_tokens, value=5000)")),
    (CHAT, CONVERSATION | {"max_completion_tokens": 0}, 400, "BadRequestError", "max_tokens",
     "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)"),
    (CHAT, CONVERSATION | {"temperature": 3}, 400, "BadRequestError", "temperature",
     "temperature must be in [0, 2], got 3.0. (parameter=temperature, value=3.0)"),
    (CHAT, CONVERSATION | {"n": 2, "temperature": 0}, 400, "BadRequestError", None,
     "n must be 1 when using greedy sampling, got 2."),
    (CHAT, CONVERSATION | {"top_logprobs": 2}, 400, "BadRequestError", "top_logprobs",
     "when using `top_logprobs`, `logprobs` must be set to true. (parameter=top_logprobs)"),
    (CHAT, CONVERSATION | {"stream_options": {"include_usage": True}}, 400, "BadRequestError",
     "stream_options", "Stream options can only be defined when `stream=True`. (parameter=stream_options)"),
    (CHAT, CONVERSATION | {"tool_choice": "auto"}, 400, "BadRequestError", "tool_choice",
     "When using `tool_choice`, `tools` must be set. (parameter=tool_choice)"),
    (COMPLETIONS, PROMPT | {"prompt": ""}, 400, "BadRequestError", "prompt",
     "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)"),
    (COMPLETIONS, PROMPT | {"prompt": "word " * 5000}, 400, "BadRequestError", "input_tokens",
     ("This model's maximum context length is 4096 tokens. However, your prompt contains at least 4097 input"
     " tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input"
     " prompt. (parameter=input_tokens, value=4097)")),
    (COMPLETIONS, PROMPT | {"prompt": [9] * 4096}, 400, "BadRequestError", "max_tokens",
     "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "status", "kind", "param", "text"), REFUSED)
def test_refusal(  # noqa: PLR0917 - the columns of the table
    generate: Simulator, path: str, body: Any, status: int, kind: str, param: str | None, text: str
) -> None:
    """A wrong request gets vLLM's status, type, param and text."""
    answer = ask(generate, "POST", path, body)
    assert answer.status == status
    assert answer.error == {"message": text, "type": kind, "param": param, "code": status}


def test_unsupported_media(generate: Simulator) -> None:
    """A body that does not call itself JSON is a 400; a charset behind it is fine."""
    refused = ask(generate, "POST", CHAT, b"{}", {"content-type": "text/plain"})
    assert (refused.status, refused.error["message"]) == (
        400,
        "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed",
    )
    with_charset = {"content-type": "application/json; charset=utf-8"}
    assert ask(generate, "POST", CHAT, CONVERSATION, with_charset).status == 200


def test_late_refusal(generate: Simulator) -> None:
    """What the engine refuses is a 400 in a plain call, but an error event behind a stream's 200."""
    body = CONVERSATION | {"logit_bias": {"9999999": 1}}
    plain = ask(generate, "POST", CHAT, body)
    streamed = ask(generate, "POST", CHAT, body | {"stream": True})
    assert (plain.status, streamed.status) == (400, 200)
    assert streamed.events == [plain.json()]


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/nope", 404, b'{"detail":"Not Found"}'),
        ("GET", "/v1/models/sim-model", 404, b'{"detail":"Not Found"}'),
        ("POST", EMBEDDINGS, 404, b'{"detail":"Not Found"}'),
        ("POST", "/v1/v1/chat/completions", 404, b'{"detail":"Not Found"}'),
        ("GET", CHAT, 405, b'{"detail":"Method Not Allowed"}'),
        ("HEAD", "/health", 405, b""),
    ],
)
def test_no_route(generate: Simulator, method: str, path: str, status: int, body: bytes) -> None:
    """Where no handler is, the framework answers in its own shape."""
    answer = ask(generate, method, path)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers.get("allow") == {"/health": "GET", CHAT: "POST"}.get(path)


def test_trailing_slash(generate: Simulator) -> None:
    """A path with a slash too many is redirected to the same host, query kept."""
    answer = ask(generate, "GET", "/v1/models/?a=1")
    assert (answer.status, answer.body) == (307, b"")
    assert answer.headers["location"] == f"http://127.0.0.1:{generate.port}/v1/models?a=1"


@pytest.mark.parametrize(
    ("path", "authorization", "status"),
    [
        ("/v1/models", None, 401),
        ("/v1/models", "Bearer wrong", 401),
        ("/v1/models", "Basic second", 401),
        ("/v1/models", "bearer second", 200),
        ("/v1/nothing", None, 401),
        ("/v1/nothing", "Bearer first", 404),
        ("/proxy/v1/models", None, 401),
        ("/proxy/v1/models", "Bearer first", 200),
        ("/version", None, 200),
    ],
)
def test_key(path: str, authorization: str | None, status: int) -> None:
    """A key guards what begins with /v1, behind the root path too; any of several keys opens it."""
    with Simulator(api_key=("first", "second"), root_path="/proxy") as server:
        headers = {"Authorization": authorization} if authorization else {}
        answer = ask(server, "GET", path, headers=headers)
        assert answer.status == status
        assert status != 401 or answer.body == b'{"error":"Unauthorized"}'


def test_pooling_refusals(pooling: Simulator) -> None:
    """Embeddings come in one size only, from a model that is served."""
    resized = ask(pooling, "POST", EMBEDDINGS, {"input": "a", "dimensions": 2})
    unknown = ask(pooling, "POST", EMBEDDINGS, {"input": "a", "model": "no"})
    assert resized.error["message"] == (
        "Model 'embedder' does not support Matryoshka embeddings;"
        " dimensions must be unset (received dimensions=2)."
    )
    assert unknown.error == {
        "message": "The model `no` does not exist.",
        "type": "NotFoundError",
        "param": None,
        "code": 404,
    }
