"""Errors travel: to another process and through `copy`, whole in what they say, without keys and prompts."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from vllm_connect import Limits, ModelNotChosen, OpenAI, Timeouts, errors
from vllm_connect.simulator import Simulator

KEY = "simulator-key"
CUSTOM = "custom-secret"
PROMPT = "a prompt that is nobody else's business"
CALL: Any = {"model": "sim-model", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 8}


@pytest.fixture(scope="module")
def server() -> Iterator[Simulator]:
    with Simulator(models=("sim-model",), api_key=KEY) as simulator:
        yield simulator


def raised(server: Simulator, fault: str, *, stream: bool = False, **options: Any) -> Any:
    """Return the error of a call that meets a fault."""
    settings: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeouts": Timeouts(total=5), **options}
    headers = {"x-simulator-fault": fault, "X-Gateway-Token": CUSTOM} if fault else {}
    with OpenAI(base_url=server.url, **settings) as client:
        try:
            answer: Any = client.chat.completions.create(
                **CALL, stream=stream, extra_headers=headers, extra_query={"api-key": CUSTOM}
            )
            list(answer)
        except openai.OpenAIError as error:
            return error
    raise AssertionError("nothing was raised")


# Each class that a call can raise -> what makes it.
RAISING: dict[str, Callable[[Simulator], Any]] = {
    "ServerUnreachable": lambda server: raised(server, "close-unanswered"),
    "AnswerMalformed": lambda server: raised(server, "not-http"),
    "AnswerIncomplete": lambda server: raised(server, "error-within", stream=True),
    "AnswerTooLarge": lambda server: raised(
        server, "huge-line; size=200000", stream=True, limits=Limits(event=65536)
    ),
    "DeadlineExceeded": lambda server: raised(
        server, "stall", stream=True, timeouts=Timeouts(between_tokens=0.2)
    ),
    "InvalidAnswer": lambda server: raised(server, "choices-empty"),
    "RedirectRefused": lambda server: raised(server, "redirect"),
    "APIError": lambda server: raised(server, "error-first", stream=True),
    "APIStatusError": lambda server: raised(server, "status; code=413"),
    "BadRequestError": lambda server: raised(server, "bad-parameter"),
    "AuthenticationError": lambda server: raised(server, "", api_key="wrong"),
    "PermissionDeniedError": lambda server: raised(server, "status; code=403"),
    "NotFoundError": lambda server: raised(server, "no-such-model"),
    "ConflictError": lambda server: raised(server, "status; code=409"),
    "UnprocessableEntityError": lambda server: raised(server, "unprocessable"),
    "RateLimitError": lambda server: raised(server, "too-many-requests"),
    "InternalServerError": lambda server: raised(server, "internal-error"),
}
TRAVELS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "twice": lambda error: pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(error)))),
    "oldest protocol": lambda error: pickle.loads(pickle.dumps(error, protocol=0)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def fields(error: Any) -> dict[str, Any]:
    """What an error says, but for the httpx objects in it."""
    return {name: value for name, value in vars(error).items() if name not in ("request", "response")}


@pytest.mark.parametrize("name", RAISING)
def test_travels(name: str, server: Simulator) -> None:
    """An error arrives as the very class, with its words, fields, outcome and what came; its request as a summary."""
    error = RAISING[name](server)
    assert type(error).__name__ == name
    assert error.outcome
    for way, travel in TRAVELS.items():
        again = travel(error)
        assert type(again) is type(error), way
        assert (str(again), again.args, fields(again)) == (str(error), error.args, fields(error)), way
        assert (again.request.method, again.request.url.path) == ("POST", "/v1/chat/completions")
        assert again.request.content == b'{"model": "sim-model"}'
        assert type(again.request) is type(error.request)
        if hasattr(error, "response"):
            assert again.response.status_code == error.response.status_code
            assert again.response.request is again.request


@pytest.mark.parametrize("name", RAISING)
def test_shows_nothing_secret(name: str, server: Simulator) -> None:
    """A pickled error holds no key, no header or query that may be one, and no prompt."""
    packed = pickle.dumps(RAISING[name](server))
    for secret in (KEY, CUSTOM, PROMPT):
        assert secret.encode() not in packed


@pytest.mark.parametrize("name", RAISING)
def test_says_what_happened(name: str, server: Simulator) -> None:
    """Every error says what happened, to which server; and what to do, where that is known; its message says both."""
    error = RAISING[name](server)
    assert server.url.removesuffix("/v1") in error.explanation
    assert isinstance(error.fix, str)
    if hasattr(type(error), "explained"):
        assert str(error) == f"{error.explanation} {error.fix}".strip()
    else:  # of openai's own classes: the server's words stand before
        assert error.fix in str(error)


@pytest.mark.parametrize(
    ("wrong", "explanation", "fix"),
    [
        (
            lambda: {"base_url": " "},
            "base_url is empty.",
            "Write the server's address, such as http://gpu1:8000.",
        ),
        (
            lambda: {"base_url": "ws://gpu1"},
            "base_url has the scheme 'ws'; vLLM speaks http, https and unix.",
            "Write http://gpu1.",
        ),
        (
            lambda: {"base_url": "http://me:pw@gpu1:8000"},
            "base_url has user information (before '@').",
            "Write http://gpu1:8000, and give the key as api_key or in VLLM_API_KEY.",
        ),
        (
            lambda: {"model_aliases": 3},
            '`model_aliases` takes a table of names, such as { "gpt-4o" = "qwen" }, not int.',
            "",
        ),
        (
            lambda: {"limits": Limits(body=0)},
            "limits.body is 0.",
            "It takes a whole number from 1.",
        ),
    ],
)
def test_settings_say_what_happened(wrong: Callable[[], dict[str, Any]], explanation: str, fix: str) -> None:
    """The message of a wrong setting says what is wrong, then what to do; both are there by themselves."""
    with pytest.raises(errors.SettingsError) as caught:
        OpenAI(**wrong())
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.explanation, error.fix, error.rule) == (explanation, fix, "")


def test_model_left_out_says_what_happened() -> None:
    """Where `model` is left out of a call to a server of several, the fix names them."""
    with Simulator(models=("one",), faults=("models-two",)) as server, OpenAI(base_url=server.url) as client:
        with pytest.raises(ModelNotChosen) as caught:
            client.chat.completions.create(messages=[])
        root = server.url.removesuffix("/v1")
    assert caught.value.explanation == f"`model` was left out and {root} serves several."
    assert caught.value.fix == f"Name one in the call or as VLLM_MODEL: {', '.join(caught.value.served)}."


def test_status_within_a_stream(server: Simulator) -> None:
    """An error that arrives within a stream has the status that the server gives it."""
    assert raised(server, "error-first", stream=True).status_code == 500


def test_the_response_travels(server: Simulator) -> None:
    """A status error keeps the answer: status, headers and body, as far as a body is read by default."""
    error = raised(server, "bad-parameter")
    again = pickle.loads(pickle.dumps(error))
    assert again.response.json() == error.response.json()
    assert again.response.headers["content-type"] == error.response.headers["content-type"]
    large = raised(server, "huge-error; size=500000", limits=Limits(error_body=300_000))
    assert len(large.response.content) == 300_000
    assert len(pickle.loads(pickle.dumps(large)).response.content) == 65536


def test_partial_travels(server: Simulator) -> None:
    """What came of a broken stream arrives, usage and all."""
    error = raised(server, "cut; after_events=4", stream=True)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again.partial, errors.Partial)
    assert again.partial == error.partial
    assert len(again.partial.text) > 3
    assert again.finish_reasons == (None,)
    assert again.attempt.delivered


def test_another_process(server: Simulator) -> None:
    """Another process, which has loaded nothing of ours, reads an error."""
    packed = pickle.dumps(raised(server, "no-such-model"))
    code = "import pickle, sys; error = pickle.load(sys.stdin.buffer); print(type(error).__name__, error.outcome)"
    shown = subprocess.run(
        [sys.executable, "-c", code], input=packed, capture_output=True, check=True, timeout=60
    )
    assert shown.stdout.split() == [b"NotFoundError", b"REFUSED"]


def test_errors_of_others_are_pickled_as_ever(server: Simulator) -> None:
    """An error of openai's that no call of ours raised is none of our business."""
    ours = raised(server, "bad-parameter")
    theirs = openai.BadRequestError("x", response=ours.response, body=None)
    with pytest.raises(TypeError):
        pickle.loads(pickle.dumps(theirs))


def test_errors_without_a_call() -> None:
    """Errors of settings travel too, and those of waiting; they have no outcome."""
    chosen = ModelNotChosen("several", server="gpu1", served=("a", "b"))
    again = pickle.loads(pickle.dumps(chosen))
    assert (type(again), str(again), again.server, again.served) == (
        ModelNotChosen,
        "several",
        "gpu1",
        ("a", "b"),
    )
    refused = pickle.loads(pickle.dumps(errors.EndpointError("no address")))
    assert (type(refused), str(refused)) == (errors.EndpointError, "no address")


def test_every_class_is_tested() -> None:
    """Every error of a call is among those that were raised, but for two that no answer brings about."""
    about_calls = {
        name
        for name in errors.__all__
        if isinstance(kind := getattr(errors, name), type) and issubclass(kind, openai.APIError)
    }
    assert about_calls - set(RAISING) == {"KeyRefused", "NotReady"}
