"""The clients do what the SDK's do, on the four endpoints, and find the model by themselves."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import openai
import pytest

from tests.callers import Caller, every_kind
from vllm_connect import AsyncOpenAI, KeyRefused, ModelNotChosen, OpenAI, SettingsError, Timeouts
from vllm_connect.simulator import Reply, Simulator

MESSAGES: Any = [{"role": "user", "content": "Say something."}]
KEY = "simulator-key"


@every_kind
def test_chat(caller: Caller, server: Simulator) -> None:
    """A chat call without a model answers with the one served model, as the SDK's own type."""
    answer = caller.run(
        lambda client: client.chat.completions.create(messages=MESSAGES), base_url=server.url, api_key=KEY
    )
    assert isinstance(answer, openai.types.chat.ChatCompletion)
    assert answer.model == "sim-model"
    assert answer.choices[0].message.content
    assert server.requests[-1].json()["model"] == "sim-model"


@every_kind
def test_streamed_chat(caller: Caller, server: Simulator) -> None:
    """A stream yields the same text as the whole answer."""
    given = {"base_url": server.url, "api_key": KEY}
    whole = caller.run(lambda client: client.chat.completions.create(messages=MESSAGES, seed=1), **given)
    chunks = caller.run(
        lambda client: client.chat.completions.create(messages=MESSAGES, seed=1, stream=True), **given
    )
    assert all(isinstance(chunk, openai.types.chat.ChatCompletionChunk) for chunk in chunks)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content


@every_kind
def test_completions(caller: Caller, server: Simulator) -> None:
    """Text completions, whole and streamed, work without a model."""
    given = {"base_url": server.url, "api_key": KEY}
    whole = caller.run(lambda client: client.completions.create(prompt="Once", seed=1), **given)
    chunks = caller.run(lambda client: client.completions.create(prompt="Once", seed=1, stream=True), **given)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text


@every_kind
def test_embeddings(caller: Caller, pooling: Simulator) -> None:
    """Embeddings come as floats of the same value, whichever encoding carries them."""
    given = {"base_url": pooling.url}
    default = caller.run(lambda client: client.embeddings.create(input=["a", "b"]), **given)
    floats = caller.run(
        lambda client: client.embeddings.create(input=["a", "b"], encoding_format="float"), **given
    )
    assert [len(one.embedding) for one in default.data] == [8, 8]
    for one, other in zip(default.data, floats.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)


@every_kind
def test_models(caller: Caller, server: Simulator) -> None:
    """The models are listed, and one is retrieved though vLLM has no route for it."""
    given = {"base_url": server.url, "api_key": KEY}
    page = caller.run(lambda client: client.models.list(), **given)
    assert [model.id for model in page.data] == ["sim-model", "sim-alias"]
    one = caller.run(lambda client: client.models.retrieve("sim-alias"), **given)
    assert isinstance(one, openai.types.Model)
    assert one.id == "sim-alias"
    with pytest.raises(openai.NotFoundError, match="Did you mean 'sim-alias'"):
        caller.run(lambda client: client.models.retrieve("sim-alia"), **given)


@every_kind
def test_info(caller: Caller, server: Simulator) -> None:
    """The server tells its version and models; where the version is hidden, it is unknown and nothing fails."""
    given = {"base_url": server.url, "api_key": KEY}
    facts = caller.run(lambda client: client.server.info(), **given)
    assert facts.version == "0.32.0"
    assert [model.id for model in facts.models] == ["sim-model", "sim-alias"]
    assert [model.id for model in facts.base_models] == ["sim-model"]
    listed = Reply(
        headers={"content-type": "application/json"}, body=b'{"object":"list","data":[{"id":"m"}]}'
    )
    server.reply_next(listed, Reply(status=404, body=b"hidden"))
    assert caller.run(lambda client: client.server.info(), **given).version is None


@every_kind
@pytest.mark.parametrize(
    ("given", "asked", "sent"),
    [
        ({}, {}, "sim-model"),
        ({"model": "sim-alias"}, {}, "sim-alias"),
        ({"model": "sim-alias"}, {"model": "sim-model"}, "sim-model"),
        ({"model_aliases": {"gpt-4o": "sim-alias"}}, {"model": "gpt-4o"}, "sim-alias"),
        ({"model_aliases": {"gpt-4o": "sim-alias"}, "model": "gpt-4o"}, {}, "sim-alias"),
        ({}, {"model": None}, None),
        ({}, {"extra_body": {"model": "sim-alias"}}, "sim-alias"),
    ],
)
def test_model_names(caller: Caller, server: Simulator, given: Any, asked: Any, sent: str | None) -> None:
    """The model is the call's, else the client's, else the one that is served; aliases are resolved."""
    caller.run(
        lambda client: client.chat.completions.create(messages=MESSAGES, **asked),
        base_url=server.url,
        api_key=KEY,
        **given,
    )
    assert server.requests[-1].json()["model"] == sent


def _listing(*ids: str) -> Reply:
    cards = ",".join(f'{{"id":"{name}","root":"{name}","object":"model"}}' for name in ids)
    return Reply(
        headers={"content-type": "application/json"}, body=f'{{"object":"list","data":[{cards}]}}'.encode()
    )


@every_kind
@pytest.mark.parametrize(("served", "named"), [(("one", "two"), "one, two"), ((), "lists no model")])
def test_model_not_chosen(caller: Caller, server: Simulator, served: tuple[str, ...], named: str) -> None:
    """Where not exactly one base model is served, leaving the model out is an error that names them."""
    server.reply_next(_listing(*served))
    with pytest.raises(ModelNotChosen, match=named) as caught:
        caller.run(
            lambda client: client.chat.completions.create(messages=MESSAGES), base_url=server.url, api_key=KEY
        )
    assert isinstance(caught.value, openai.OpenAIError)
    assert caught.value.served == served


def test_names_that_a_server_made_up(server: Simulator) -> None:
    """The names of a server are shown as names: a few, short, and unable to steer a terminal."""
    served = ("a\\u001b[31m", "b" * 5000, *(f"model-{number}" for number in range(100)))
    server.reply_next(_listing(*served))
    with OpenAI(base_url=server.url, api_key=KEY) as client, pytest.raises(ModelNotChosen) as caught:
        client.chat.completions.create(messages=MESSAGES)
    message = str(caught.value)
    assert f"name one in the call or as VLLM_MODEL: a [31m, {'b' * 100}, model-0, " in message
    assert message.endswith(" and 97 more.")
    assert len(caught.value.served) == len(served)


@every_kind
def test_model_found_once_and_again(caller: Caller, server: Simulator) -> None:
    """The model is asked for once, shared by copies, and again when the server no longer has it."""
    server.reply_next(_listing("gone"))

    def blocking(client: Any) -> Any:
        client.with_options(timeout=5).chat.completions.create(messages=MESSAGES)
        return client.chat.completions.create(messages=MESSAGES)

    async def asynchronous(client: Any) -> Any:
        await client.with_options(timeout=5).chat.completions.create(messages=MESSAGES)
        return await client.chat.completions.create(messages=MESSAGES)

    function = blocking if caller.kind == "blocking" else asynchronous
    answer = caller.run(function, base_url=server.url, api_key=KEY)
    assert answer.model == "sim-model"
    assert [request.path for request in server.requests] == [
        "/v1/models",
        "/v1/chat/completions",
        "/v1/models",
        "/v1/chat/completions",
        "/v1/chat/completions",
    ]


def test_sdk_helpers(server: Simulator) -> None:
    """`parse`, `stream`, raw and streamed responses and pagination keep working, the model left out."""
    client: Any
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        assert client.chat.completions.parse(messages=MESSAGES).choices[0].message.content
        with client.chat.completions.stream(messages=MESSAGES) as stream:
            assert stream.get_final_completion().choices[0].finish_reason == "stop"
        raw = client.chat.completions.with_raw_response.create(messages=MESSAGES)
        assert raw.status_code == 200
        assert raw.parse().choices[0].message.content
        assert (
            client.chat.with_raw_response.completions.create(messages=MESSAGES).parse().model == "sim-model"
        )
        with client.chat.completions.with_streaming_response.create(messages=MESSAGES) as response:
            assert b"sim-model" in b"".join(response.iter_bytes())
        assert [model.id for page in client.models.list().iter_pages() for model in page] == [
            "sim-model",
            "sim-alias",
        ]


def test_multipart_and_binary(server: Simulator) -> None:
    """Uploads of files and binary answers travel as the SDK sends and reads them."""
    server.reply_next(
        Reply(headers={"content-type": "application/json"}, body=b'{"text":"spoken"}'),
        Reply(headers={"content-type": "audio/mpeg"}, body=b"\x00\x01sound"),
    )
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        heard = client.audio.transcriptions.create(file=("a.wav", b"RIFF...."), model="whisper")
        assert heard.text == "spoken"
        assert b"RIFF...." in server.requests[-1].body
        assert (server.requests[-1].header("content-type") or "").startswith("multipart/form-data; boundary=")
        assert client.audio.speech.create(input="x", model="tts", voice="alloy").read() == b"\x00\x01sound"


def test_copies(server: Simulator, pooling: Simulator) -> None:
    """Copies keep the type and what was not changed, and share connections; an address of their own is respected."""

    class Ours(OpenAI):
        pass

    with Ours(base_url=server.url, api_key=KEY, model="sim-alias", timeouts=Timeouts(total=9)) as client:
        copy = client.with_options(max_retries=0)
        assert type(copy) is Ours
        assert copy.copy == copy.with_options
        assert (copy.max_retries, copy.timeouts, copy.settings.model) == (0, Timeouts(total=9), "sim-alias")
        assert copy.api_key == KEY
        assert client.copy(timeout=3).timeout == 3
        assert client.copy(timeouts=Timeouts(total=1)).timeouts.total == 1
        client.models.list()
        copy.models.list()
        assert server.connections == 1
        other = client.copy(base_url=pooling.url, api_key="other")
        assert other.server.info().models[0].id == "embedder"
        assert pooling.requests[0].header("authorization") == "Bearer other"
        assert other._client is client._client
    with (
        OpenAI(base_url=server.url, wire="sdk") as by_sdk,
        by_sdk.copy(base_url="http://gpu1:8000") as away,
    ):
        assert away._client is not by_sdk._client, "another machine may be behind a proxy"


def test_changed_attributes(server: Simulator, pooling: Simulator) -> None:
    """Assigning `api_key`, `base_url` and `timeout` works as with the SDK."""
    with OpenAI(base_url=server.url, api_key="wrong") as client:
        client.api_key = KEY
        client.models.list()
        client.base_url = pooling.url
        client.models.list()
        assert str(client.base_url) == f"{pooling.url}/"
        client.timeout = 7
        assert client.timeout == 7
    assert len(pooling.requests) == 1


@every_kind
def test_key_functions(caller: Caller, server: Simulator) -> None:
    """A function that gives the key is asked for each request, coroutine functions included."""
    keys = iter([KEY, "wrong", KEY])

    async def acurrent() -> str:
        return next(keys)

    def current() -> str:
        return next(keys)

    function = current if caller.kind == "blocking" else acurrent
    for expected in (True, False, True):
        call = lambda client: client.models.list()  # noqa: E731  # used three times, read once
        if expected:
            caller.run(call, base_url=server.url, api_key=function)
        else:
            with pytest.raises(
                openai.AuthenticationError, match="refused the API key from the api_key function"
            ):
                caller.run(call, base_url=server.url, api_key=function)


def test_own_http_client(server: Simulator) -> None:
    """A caller's own http client is used for everything, with its hooks, headers and settings."""
    seen: list[str] = []
    http_client = openai.DefaultHttpxClient(
        headers={"x-gateway": "yes"}, event_hooks={"request": [lambda request: seen.append(request.url.path)]}
    )
    with OpenAI(base_url=server.url, api_key=KEY, http_client=http_client) as client:
        answer = client.chat.completions.create(messages=MESSAGES)
        assert answer.choices[0].message.content
    assert seen == ["/v1/models", "/v1/chat/completions"]
    assert server.requests[-1].header("x-gateway") == "yes"
    assert http_client.is_closed


def test_wrong_arguments() -> None:
    """A misspelt argument, one of the platform and two timeouts are refused with what to write."""
    with pytest.raises(TypeError, match="Did you mean `base_url`"):
        OpenAI(base_ulr="gpu1")
    with pytest.raises(TypeError, match=r"use openai.OpenAI"):
        OpenAI(provider=object())
    with pytest.raises(TypeError, match="not both"):
        OpenAI(timeout=3, timeouts=Timeouts())
    with pytest.raises(TypeError, match="not both"), OpenAI(base_url="gpu1") as client:
        client.chat.completions.create(messages=MESSAGES, timeout=3, timeouts=Timeouts())
    with pytest.raises(SettingsError, match="base_url has user information"):
        OpenAI(base_url="http://me:secret@gpu1")


def test_patched_sdk_method(server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a tracer has patched the SDK's method, our call goes through the patched one."""
    original = openai.resources.chat.Completions.create
    traced = []

    def patched(self: Any, **parameters: Any) -> Any:
        traced.append(parameters)
        return original(self, **parameters)

    monkeypatch.setattr(openai.resources.chat.Completions, "create", patched)
    with OpenAI(base_url=server.url, api_key=KEY) as client:
        client.chat.completions.create(messages=MESSAGES)
    assert len(traced) == 1


def test_is_an_openai_client() -> None:
    """Every library that takes an openai client takes ours."""
    with OpenAI() as client:
        assert isinstance(client, openai.OpenAI)
        assert isinstance(client.chat.completions, openai.resources.chat.Completions)
    assert issubclass(AsyncOpenAI, openai.AsyncOpenAI)


def test_key_function_is_asked_for_every_try(server: Simulator) -> None:
    """A key function is asked for every try: a token may expire while the call waits."""
    keys = iter(["expired", KEY])
    server.reply_next(Reply(503, {"retry-after-ms": "10"}))
    with OpenAI(base_url=server.url, api_key=lambda: next(keys)) as client:
        assert client.models.list().data


@pytest.mark.parametrize("spelling", ["authorization", "Authorization"])
@pytest.mark.parametrize("value", ["Bearer mine", openai.omit])
def test_own_authorization(server: Simulator, spelling: str, value: Any) -> None:
    """A caller's own Authorization, in any spelling, is the only one that leaves; omitted means none."""
    told = r"Authorization header that your code|none was sent|refused"
    client: Any = OpenAI(base_url=server.url, api_key=KEY, default_headers={spelling: value})
    with client, pytest.raises(openai.AuthenticationError, match=told):
        client.models.list()
    sent = [held for name, held in server.requests[0].headers if name.lower() == b"authorization"]
    assert sent == ([] if value is openai.omit else [b"Bearer mine"])


def test_empty_key_is_a_choice(server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty text given as key means none, whatever the environment holds."""
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with OpenAI(base_url=server.url, api_key="") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    assert server.requests[0].header("authorization") is None


def test_leaving_openai(server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client of OpenAI's own host that is pointed elsewhere leaves its key and variables behind."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-proj-canary")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, "canary")
    with OpenAI() as client:
        assert client.with_options(timeout=5).organization == "canary"
        with client.with_options(base_url=server.url) as copy:
            for one in (copy, client):
                one.base_url = server.url
                with pytest.raises(openai.AuthenticationError, match="OPENAI_API_KEY was not sent"):
                    one.models.list()
    assert len(server.requests) == 2
    assert b"canary" not in b"".join(value for request in server.requests for _, value in request.headers)


def test_origins_after_changes(server: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was changed on a copy or by assignment is named as that, not as what it replaced."""
    monkeypatch.setenv("VLLM_BASE_URL", server.url)
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    with OpenAI() as client:
        for one in (client.with_options(api_key="wrong"), client):
            one.api_key = "wrong"
            with pytest.raises(openai.AuthenticationError, match="refused the API key from argument"):
                one.models.list()


SEVERAL_LOOPS = """
import asyncio, sys
from vllm_connect import AsyncOpenAI
client = AsyncOpenAI(base_url=sys.argv[1], api_key=sys.argv[2], model="sim-model")
for _ in range(3):
    answer = asyncio.run(client.chat.completions.create(messages=[{"role": "user", "content": "x"}]))
    print(answer.model)
"""


def test_several_event_loops(server: Simulator) -> None:
    """One async client serves several event loops, one after the other; what a dead loop held is garbage."""
    ran = subprocess.run(
        [sys.executable, "-c", SEVERAL_LOOPS, server.url, KEY],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout.split() == ["sim-model"] * 3, ran.stderr


def test_subclassed_http_client(server: Simulator) -> None:
    """A caller's http client builds its requests itself, in its own way."""

    class Theirs(openai.DefaultHttpxClient):
        def build_request(self, *arguments: Any, **options: Any) -> Any:
            request = super().build_request(*arguments, **options)
            request.headers["x-theirs"] = "1"
            return request

    with OpenAI(base_url=server.url, api_key=KEY, http_client=Theirs()) as client:
        client.models.list()
    assert server.requests[0].header("x-theirs") == "1"


@pytest.mark.parametrize("given", [{"tls": True}, {"timeouts": 5}, {"model_aliases": ["a"]}, {"model": 5}])
def test_arguments_of_a_wrong_type(given: Any) -> None:
    """An argument of the wrong type is refused with what it takes."""
    with pytest.raises(SettingsError, match=f"`{next(iter(given))}` takes"):
        OpenAI(**given)


@pytest.mark.parametrize(
    ("address", "is_refused"),
    [
        ("ws://gpu1:8000/v1", False),
        ("ws://gpu2:8000/v1", True),
        ("wss://gpu1:8000/v1", True),
        ("ws://gpu1:9000/v1", True),
    ],
)
def test_a_websocket_of_another_origin_gets_no_key(address: str, *, is_refused: bool) -> None:
    """The headers that the SDK opens a websocket with hold the key only for the origin that it belongs to."""
    with OpenAI(base_url="http://gpu1:8000", api_key="key-of-gpu1", websocket_base_url=address) as client:
        if is_refused:
            with pytest.raises(KeyRefused, match=re.escape(address)):
                _ = client.auth_headers
        else:
            assert client.auth_headers == {"Authorization": "Bearer key-of-gpu1"}
