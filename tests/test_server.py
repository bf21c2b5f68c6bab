"""`client.server`: vLLM's own routes, typed and explained, on every kind of client, and behind gateways."""

from __future__ import annotations

import inspect
from typing import Any

import openai
import pytest

from tests.callers import Caller, every_kind
from tests.gateway import gateway
from vllm_connect import AsyncOpenAI, ModelNotChosen, OpenAI, ServerUnreachable, Timeouts
from vllm_connect.client.server import AsyncServer, Server, Tokenization
from vllm_connect.facts import ROUTES
from vllm_connect.simulator import Reply, Simulator

KEY = "simulator-key"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]
GENERATING = {"chat", "completions", "tokenize", "detokenize"}
POOLING = {"embeddings", "pooling", "score", "rerank", "tokenize", "detokenize"}
PAGE = Reply(200, {"content-type": "text/html"}, b"<html>Welcome</html>")
HIDDEN = Reply(404, {"content-type": "text/html"}, b"<html>no such page</html>")


def json_reply(body: bytes, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, body)


@every_kind
def test_info(caller: Caller, server: Simulator) -> None:
    """A server tells what it is in four questions, none of which generates or sends the key where it is asked without."""
    facts = caller.run(lambda client: client.server.info(), base_url=server.url, api_key=KEY)
    assert (facts.version, facts.kind, facts.needs_key, facts.is_vllm) == ("0.32.0", "generate", True, True)
    assert facts.serves >= GENERATING
    assert not facts.serves & {"embeddings", "pooling", "score"}
    assert [model.id for model in facts.base_models] == ["sim-model"]
    assert facts.max_model_len == 4096
    asked = [
        (request.method, request.path, bool(request.header("authorization"))) for request in server.requests
    ]
    assert asked == [
        ("GET", "/v1/models", True),
        ("GET", "/version", True),
        ("GET", "/openapi.json", True),
        ("GET", "/v1/models", False),
    ]


@every_kind
def test_info_of_a_pooling_server(caller: Caller, pooling: Simulator) -> None:
    """A pooling server is known as one; without a key to send none is asked about."""
    facts = caller.run(lambda client: client.server.info(), base_url=pooling.url)
    assert (facts.kind, facts.needs_key, facts.serves >= POOLING) == ("pooling", False, True)
    assert len(pooling.requests) == 3


DEGRADED: Any = [
    pytest.param({"/version": HIDDEN}, {"version": None, "is_vllm": True}, id="version hidden"),
    pytest.param({"/version": PAGE}, {"version": None}, id="version is a page"),
    pytest.param({"/version": json_reply(b'["0.32.0"]')}, {"version": None}, id="version of a wrong shape"),
    pytest.param({"/version": json_reply(b'{"version":32}')}, {"version": None}, id="version is a number"),
    pytest.param({"*": HIDDEN}, {"version": None, "kind": None, "serves": None}, id="all hidden"),
    pytest.param({"*": PAGE}, {"version": None, "kind": None, "serves": None}, id="all a page"),
    pytest.param({"*": json_reply(b"{}", 405)}, {"kind": None, "serves": None}, id="no GET allowed"),
    pytest.param({"*": json_reply(b"{}", 503)}, {"kind": None, "serves": None}, id="all away"),
    *[
        pytest.param(
            {"/openapi.json": HIDDEN, "/v1/completions": json_reply(b"{}", status)},
            {"serves": None},
            id=f"one answers {status}",
        )
        for status in (429, 502)
    ],
]


@every_kind
@pytest.mark.parametrize(("own", "expected"), DEGRADED)
def test_info_behind_a_gateway(
    caller: Caller, server: Simulator, own: dict[str, Reply], expected: dict[str, Any]
) -> None:
    """What a gateway hides, bars or answers by itself is unknown, and never an error."""
    with gateway(server.url, own) as url:
        facts = caller.run(lambda client: client.server.info(), base_url=url, api_key=KEY)
    assert {name: getattr(facts, name) for name in expected} == expected
    assert [model.id for model in facts.models] == ["sim-model", "sim-alias"]


UNLISTED = {
    "hidden": HIDDEN,
    "forbidden": json_reply(b"{}", 403),
    "for who has a key": json_reply(b"{}", 401),
    "not allowed": json_reply(b"{}", 405),
    "broken": json_reply(b"{}", 500),
    "a page": PAGE,
    "a list": json_reply(b"[1]"),
    "with paths that are a list": json_reply(b'{"paths":["/v1/chat/completions"]}'),
    "of the gateway alone": json_reply(b'{"paths":{"/gateway/status":{}}}'),
}


@every_kind
@pytest.mark.parametrize("answer", UNLISTED)
def test_routes_are_found(caller: Caller, server: Simulator, answer: str) -> None:
    """Where the list of routes cannot be read, each is found by GET, which does nothing; barred ones are not there."""
    listed = caller.run(lambda client: client.server.info(), base_url=server.url, api_key=KEY).serves
    own = {"/openapi.json": UNLISTED[answer], "/tokenize": HIDDEN, "/detokenize": json_reply(b"{}", 403)}
    with gateway(server.url, own) as url:
        facts = caller.run(lambda client: client.server.info(), base_url=url, api_key=KEY)
    assert facts.serves == listed - {"tokenize", "detokenize"}
    assert facts.kind == "generate"
    assert all(request.method == "GET" for request in server.requests)


def test_info_behind_a_slow_gateway(server: Simulator) -> None:
    """A gateway that holds what it does not know costs seconds, not the client's patience."""
    slow = Reply(200, {"content-type": "application/json"}, b'{"version":"0.32.0"}', delay=4)
    with gateway(server.url, {"/version": slow}) as url, OpenAI(base_url=url, api_key=KEY) as client:
        facts = client.server.info()
    assert (facts.version, facts.kind) == (None, "generate")


@every_kind
def test_info_without_models(caller: Caller, server: Simulator) -> None:
    """Only what makes a server useless is an error: no connection, a refused key, no list of models."""
    with pytest.raises(openai.AuthenticationError, match="refused the API key"):
        caller.run(lambda client: client.server.info(), base_url=server.url, api_key="wrong")
    for answer, error in ((HIDDEN, openai.NotFoundError), (PAGE, openai.APIResponseValidationError)):
        server.reply_next(answer)
        with pytest.raises(error):
            caller.run(lambda client: client.server.info(), base_url=server.url, api_key=KEY)
    url = server.url
    server.stop()
    with pytest.raises(ServerUnreachable):
        caller.run(lambda client: client.server.info(), base_url=url, max_retries=0)


@every_kind
def test_need_of_a_key(caller: Caller, pooling: Simulator) -> None:
    """A key that is sent to an open server is known not to be needed, and not known where the answer is a page."""
    facts = caller.run(lambda client: client.server.info(), base_url=pooling.url, api_key="any")
    assert facts.needs_key is False
    listed = json_reply(b'{"data":[{"id":"m","owned_by":"sglang","max_model_len":9}]}')
    pooling.reply_next(listed, HIDDEN, Reply(404), Reply(500), PAGE)
    facts = caller.run(lambda client: client.server.info(), base_url=pooling.url, api_key="any")
    assert (facts.needs_key, facts.is_vllm) == (None, False)


@every_kind
def test_tokens(caller: Caller, server: Simulator) -> None:
    """A prompt and a conversation become tokens, and tokens the prompt again; the model is filled in."""
    given = {"base_url": server.url, "api_key": KEY}
    told = caller.run(lambda client: client.server.tokenize("Hello you", return_token_strs=True), **given)
    assert isinstance(told, Tokenization)
    assert "".join(told.token_strs or []) == "Hello you"
    assert (told.count, told.max_model_len) == (len(told.tokens), 4096)
    assert server.requests[-1].json() == {
        "prompt": "Hello you",
        "return_token_strs": True,
        "model": "sim-model",
    }
    assert caller.run(lambda client: client.server.detokenize(told.tokens), **given) == "Hello you"
    talk = caller.run(lambda client: client.server.tokenize(messages=MESSAGES, model="sim-alias"), **given)
    assert talk.count > told.count
    assert server.requests[-1].json()["model"] == "sim-alias"


@every_kind
def test_small_answers(caller: Caller, server: Simulator) -> None:
    """Version and load are plain values; health is True or False, and neither a try more nor an error."""
    given = {"base_url": server.url, "api_key": KEY}
    assert caller.run(lambda client: client.server.version(), **given) == "0.32.0"
    assert caller.run(lambda client: client.server.load(), **given) == 0
    assert caller.run(lambda client: client.server.health(), **given) is True
    server.reply_next(Reply(503))
    assert caller.run(lambda client: client.server.health(), **given) is False
    assert len(server.requests) == 4


@every_kind
def test_scores(caller: Caller, pooling: Simulator) -> None:
    """Texts are scored in pairs and documents put in order; what a server adds to an answer is kept."""
    given = {"base_url": pooling.url}
    scores = caller.run(lambda client: client.server.score("sea", ["sea", "land"]), **given)
    assert [one.index for one in scores.data] == [0, 1]
    assert scores.data[0].score == pytest.approx(1)
    assert scores.usage.total_tokens > 0
    assert scores.model_extra["object"] == "list"
    best = caller.run(lambda client: client.server.rerank("sea", ["land", "sea"], top_n=1), **given)
    assert [(one.index, one.document.text) for one in best.results] == [(1, "sea")]
    assert pooling.requests[-1].json() == {
        "query": "sea",
        "documents": ["land", "sea"],
        "top_n": 1,
        "model": "embedder",
    }


@every_kind
def test_pooling(caller: Caller, pooling: Simulator) -> None:
    """The pooler's output is a vector for each input."""
    pooled = caller.run(lambda client: client.server.pooling(["a", "b"], task="embed"), base_url=pooling.url)
    assert [len(one.data) for one in pooled.data] == [8, 8]
    assert pooling.requests[-1].json() == {"input": ["a", "b"], "task": "embed", "model": "embedder"}
    tokens = json_reply(b'{"data":[{"index":0,"object":"pooling","data":[[1.0,2.0],[3.0,4.0]]}]}')
    pooling.reply_next(tokens)
    each = caller.run(lambda client: client.server.pooling("a", model="m"), base_url=pooling.url)
    assert each.data[0].data == [[1.0, 2.0], [3.0, 4.0]]


@every_kind
def test_classify(caller: Caller) -> None:
    """Each input has its class, and every class its probability."""
    options: Any = {"kind": "pooling", "pooling_task": "classify", "labels": ("bad", "good")}
    with Simulator(**options) as server:
        told = caller.run(lambda client: client.server.classify(["fine", "so so"]), base_url=server.url)
        assert server.requests[-1].json() == {"input": ["fine", "so so"], "model": "sim-model"}
    assert [one.index for one in told.data] == [0, 1]
    for one in told.data:
        assert one.num_classes == len(one.probs) == 2
        assert sum(one.probs) == pytest.approx(1)
        assert one.label == ("bad", "good")[one.probs.index(max(one.probs))]


@every_kind
def test_sleep(caller: Caller) -> None:
    """The engine sleeps until it is woken; the level and the parts to wake go into the query as vLLM reads it."""
    with Simulator(dev_mode=True) as server:
        given = {"base_url": server.url}
        assert caller.run(lambda client: client.server.sleep(level=1, mode="wait"), **given) is None
        assert caller.run(lambda client: client.server.is_sleeping(), **given) is True
        assert caller.run(lambda client: client.server.wake_up(), **given) is None
        assert caller.run(lambda client: client.server.is_sleeping(), **given) is False
        tags = ["weights", "kv_cache"]
        caller.run(lambda client: client.server.wake_up(tags=tags, extra_query={"trace": "1"}), **given)
        assert server.requests[0].query == {"level": ["1"], "mode": ["wait"]}
        assert server.requests[-1].query == {"tags": tags, "trace": ["1"]}


@every_kind
def test_adapters(caller: Caller) -> None:
    """An adapter that is loaded is a model until it is unloaded; neither is tried twice."""
    with Simulator(enable_lora=True, allow_runtime_lora_updating=True) as server:
        given = {"base_url": server.url}
        caller.run(lambda client: client.server.load_lora_adapter("mine", "/adapters/mine"), **given)
        with pytest.raises(openai.BadRequestError, match="already been loaded"):
            caller.run(lambda client: client.server.load_lora_adapter("mine", "/adapters/mine"), **given)
        caller.run(
            lambda client: client.server.load_lora_adapter("mine", "/other", load_inplace=True), **given
        )
        facts = caller.run(lambda client: client.server.info(), **given)
        assert [(one.id, one.parent) for one in facts.models] == [("sim-model", None), ("mine", "sim-model")]
        caller.run(lambda client: client.server.unload_lora_adapter("mine"), **given)
        with pytest.raises(openai.NotFoundError, match="cannot be found"):
            caller.run(lambda client: client.server.unload_lora_adapter("mine"), **given)
        before = len(server.requests)
        server.reply_next(Reply(500))
        with pytest.raises(openai.InternalServerError):
            caller.run(lambda client: client.server.unload_lora_adapter("mine"), **given)
        assert len(server.requests) == before + 1


def test_adapters_change_the_models() -> None:
    """The model that was left out is found anew after an adapter was loaded or unloaded."""
    with (
        Simulator(enable_lora=True, allow_runtime_lora_updating=True) as server,
        OpenAI(base_url=server.url) as client,
    ):
        client.server.tokenize("x")
        client.server.tokenize("x")
        client.server.load_lora_adapter("mine", "/adapters/mine")
        client.server.tokenize("x")
        client.server.unload_lora_adapter("mine")
        client.server.tokenize("x")
        asked = [request.path for request in server.requests if request.path != "/tokenize"]
    assert asked == [
        "/v1/models",
        "/v1/load_lora_adapter",
        "/v1/models",
        "/v1/unload_lora_adapter",
        "/v1/models",
    ]


@every_kind
@pytest.mark.parametrize("ids", ["chatcmpl-1", ["chatcmpl-1"]])
def test_abort(caller: Caller, ids: str | list[str]) -> None:
    """Requests are aborted by their ids; one that is not under way is no error."""
    with Simulator(dev_mode=True) as server:
        assert caller.run(lambda client: client.server.abort(ids), base_url=server.url) is None
        assert server.requests[-1].json() == {"request_ids": ["chatcmpl-1"]}


def test_abort_of_nothing(server: Simulator) -> None:
    """No id is refused, as vLLM would abort everything."""
    with (
        OpenAI(base_url=server.url, api_key=KEY) as client,
        pytest.raises(ValueError, match="would mean all"),
    ):
        client.server.abort([])
    assert server.requests == []


@every_kind
@pytest.mark.parametrize(
    "answer", [PAGE, json_reply(b"[]"), json_reply(b'{"version":null}'), json_reply(b'{"version":'), Reply()]
)
def test_wrong_shape(caller: Caller, server: Simulator, answer: Reply) -> None:
    """A success that is none of vLLM's is an error that names the route and what came, not a strange value."""
    for call in (
        lambda client: client.server.version(),
        lambda client: client.server.tokenize("x"),
        lambda client: client.server.metrics(),
        *(
            [lambda client: client.server.health(), lambda client: client.server.sleep()]
            if answer is PAGE
            else []
        ),
    ):
        server.reply_next(answer)
        with pytest.raises(openai.APIResponseValidationError, match="not vLLM's") as caught:
            caller.run(call, base_url=server.url, api_key=KEY, model="sim-model")
        assert caught.value.status_code == 200
        assert "Bearer ***" in str(caught.value.response.request.headers.raw)


@every_kind
def test_options_of_a_call(caller: Caller, server: Simulator) -> None:
    """A call takes the SDK's options and timers, aliases are resolved, and a client's timeout bounds it."""
    given = {"base_url": server.url, "api_key": KEY, "model_aliases": {"gpt-4o": "sim-alias"}}
    caller.run(
        lambda client: client.server.tokenize(
            "x",
            model="gpt-4o",
            extra_headers={"x-team": "a"},
            extra_query={"trace": "1"},
            extra_body={"add_special_tokens": False},
            timeouts=Timeouts(total=5),
        ),
        **given,
    )
    request = server.requests[-1]
    assert (request.header("x-team"), request.query) == ("a", {"trace": ["1"]})
    assert request.json() == {"prompt": "x", "model": "sim-alias", "add_special_tokens": False}
    for call in (
        lambda client: client.server.tokenize("x", model="m", timeout=0.2),
        lambda client: client.with_options(timeout=0.2).server.version(),
    ):
        server.reply_next(Reply(delay=5))
        with pytest.raises(openai.APITimeoutError, match=r"0\.2 s"):
            caller.run(call, **given)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda server: server.tokenize(), "Give `prompt` or `messages`"),
        (lambda server: server.classify(), "Give `input` or `messages`"),
        (lambda server: server.pooling("x", messages=MESSAGES), "Give `input` or `messages`"),
        (lambda server: server.tokenize("x", messages=MESSAGES), "and not both"),
        (lambda server: server.tokenize("x", timeout=1, timeouts=Timeouts()), "not both"),
        (lambda server: server.tokenize("x", bogus=1), r"has no argument `bogus`.*extra_body"),
    ],
)
def test_wrong_arguments(server: Simulator, call: Any, told: str) -> None:
    """Arguments that contradict each other or do not exist are refused before anything is sent."""
    with OpenAI(base_url=server.url, api_key=KEY) as client, pytest.raises(TypeError, match=told):
        call(client.server)
    assert server.requests == []


@every_kind
def test_several_models(caller: Caller, server: Simulator) -> None:
    """Where several models are served, leaving the model out is an error here too."""
    server.reply_next(json_reply(b'{"data":[{"id":"one"},{"id":"two"}]}'))
    with pytest.raises(ModelNotChosen, match="one, two"):
        caller.run(lambda client: client.server.tokenize("x"), base_url=server.url, api_key=KEY)


def test_raw_requests(server: Simulator) -> None:
    """A request that code makes by itself is sent as it is: its model is filled in by the server."""
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        answer = client.post(f"{server.root_url}/tokenize", cast_to=object, body={"prompt": "x"})
    assert isinstance(answer, dict)
    assert [request.json() for request in server.requests] == [{"prompt": "x"}]


def test_retries(server: Simulator) -> None:
    """A call is tried again as every other: its overload passes."""
    server.reply_next(Reply(503, {"retry-after-ms": "10"}))
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        assert client.server.version() == "0.32.0"


@pytest.mark.parametrize("base", ["/proxy", "/proxy/v1"])
def test_base_path(base: str) -> None:
    """The own routes of vLLM are found below the root path of the server, with or without /v1 in the address."""
    with (
        Simulator(root_path="/proxy") as server,
        OpenAI(base_url=f"http://127.0.0.1:{server.port}{base}") as client,
    ):
        assert client.server.version() == "0.32.0"
    assert [request.path for request in server.requests] == ["/proxy/version"]


def test_unix_socket(tmp_path: Any) -> None:
    """The own routes of vLLM are reached over a unix socket."""
    path = str(tmp_path / "vllm.sock")
    with Simulator(uds=path), OpenAI(base_url=f"unix://{path}") as client:
        assert client.server.tokenize("x").count == 1
        assert client.server.info().kind == "generate"


def test_same_methods() -> None:
    """Both servers have the same methods, with the same arguments, results and documentation."""
    names = {name for name in vars(Server) if not name.startswith("_")}
    assert names == {name for name in vars(AsyncServer) if not name.startswith("_")}
    for name in names:
        one, other = getattr(Server, name), getattr(AsyncServer, name)
        assert inspect.signature(one) == inspect.signature(other)
        assert "Question" not in str(inspect.signature(one))
        assert one.__doc__ == other.__doc__
        asks = name not in ("replicas", "adaptations")  # which tell what was seen
        assert (one.__name__, inspect.iscoroutinefunction(other)) == (name, asks)
    with OpenAI() as client:
        assert next(iter(inspect.signature(client.server.tokenize).parameters)) == "prompt"
    assert isinstance(AsyncOpenAI().server, AsyncServer)


MISSING: Any = [
    (lambda client: client.server.sleep(), r"/sleep with --enable-sleep-mode .* VLLM_SERVER_DEV_MODE=1"),
    (lambda client: client.server.is_sleeping(), r"/is_sleeping with --enable-sleep-mode"),
    (lambda client: client.server.abort("x"), r"VLLM_SERVER_DEV_MODE=1 or with --tokens-only"),
    (
        lambda client: client.server.load_lora_adapter("a", "b"),
        r"/v1/load_lora_adapter with --enable-lora and the variable VLLM_ALLOW_RUNTIME_LORA_UPDATING=1",
    ),
    (
        lambda client: client.server.score("a", "b", model="m"),
        r"with an embedding, .*--runner pooling",
    ),
    (lambda client: client.server.classify("a", model="m"), r"with a classification model"),
    (lambda client: client.server.pooling("a", model="m"), r"with any pooling model"),
    (
        lambda client: client.embeddings.create(input="a", model="m"),
        r"with an embedding model",
    ),
    (lambda client: client.post("/score", cast_to=object, body={}), r"/v1/score with an embedding"),
    (lambda client: client.post("/inference/v1/generate", cast_to=object), r"has no route /v1/inference"),
    (lambda client: client.files.list(), r"/v1/files: vLLM does not have this part of the OpenAI API"),
]


@every_kind
@pytest.mark.parametrize(("call", "told"), MISSING)
def test_missing_routes(caller: Caller, server: Simulator, call: Any, told: str) -> None:
    """Where a route is missing, the error is openai's, and says which option or kind of model brings it."""
    with pytest.raises(openai.NotFoundError, match=told) as caught:
        caller.run(call, base_url=server.url, api_key=KEY)
    assert "not vLLM's" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (HIDDEN, openai.NotFoundError, "The answer is not vLLM's.*has no route /version.*a gateway"),
        (json_reply(b'{"detail":"x"}', 405), openai.APIStatusError, "does not take this request at /version"),
        (
            Reply(403, body=b"no"),
            openai.PermissionDeniedError,
            r"bars /version \(no\).*A gateway",
        ),
    ],
)
def test_routes_behind_a_gateway(server: Simulator, answer: Reply, error: type[Exception], told: str) -> None:
    """A gateway that does not let a route through is named as what it is."""
    server.reply_next(answer)
    with OpenAI(base_url=server.url, api_key=KEY) as client, pytest.raises(error, match=told):
        client.server.version()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            json_reply(b'{"error":{"message":"No adapter found for <path>","code":404}}', 404),
            "No adapter found",
        ),
        (json_reply(b'{"error":{"message":"Restart with --enable-scale-out","code":403}}', 403), "scale-out"),
    ],
)
def test_words_of_a_route(server: Simulator, answer: Reply, told: str) -> None:
    """Where the route is there and refuses in its own words, those stand alone."""
    server.reply_next(answer)
    with OpenAI(base_url=server.url, api_key=KEY) as client, pytest.raises(openai.APIStatusError) as caught:
        client.server.load_lora_adapter("a", "b")
    assert told in str(caught.value)
    assert "vLLM has" not in str(caught.value)


def test_route_of_another_task(server: Simulator) -> None:
    """Older releases have every route, and refuse by the model: that too says which model it takes."""
    answer = b'{"object":"error","message":"The model does not support Embeddings API","code":400}'
    server.reply_next(json_reply(answer, 400))
    with (
        OpenAI(base_url=server.url, api_key=KEY) as client,
        pytest.raises(openai.BadRequestError, match="with an embedding model"),
    ):
        client.embeddings.create(input="x", model="m")


def test_missing_routes_below_a_root_path() -> None:
    """A route is known by its name below the server's root."""
    told = r"no route /proxy/sleep\. vLLM has /sleep with"
    with (
        Simulator(root_path="/proxy") as server,
        OpenAI(base_url=f"http://127.0.0.1:{server.port}/proxy") as client,
        pytest.raises(openai.NotFoundError, match=told),
    ):
        client.server.sleep()


def test_routes_are_told_once() -> None:
    """The table of routes has each path once."""
    paths = [route.path for route in ROUTES]
    assert len(paths) == len(set(paths))
