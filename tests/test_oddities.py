"""What is odd about a good answer is told in the log, once: another content type, another model's name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.callers import Caller, every_kind
from vllm_connect.simulator import Simulator

MODEL = "sim-model"
KEY = "simulator-key"
MESSAGES: Any = [{"role": "user", "content": "Say something."}]


def plain(client: Any, model: str = MODEL) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=4)


def stream(client: Any, model: str = MODEL) -> Any:
    return client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=4, stream=True)


def completion(client: Any, model: str = MODEL) -> Any:
    return client.completions.create(model=model, prompt="Say something.", max_tokens=4)


WAYS = (plain, stream, completion)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of ours."""
    return [
        record.message
        for record in caplog.records
        if (record.name, record.levelname) == ("vllm_connect", "WARNING")
    ]


def twice(
    caller: Caller,
    way: Callable[..., Any],
    server: Simulator,
    models: tuple[str, ...],
    *,
    knows_models: bool = True,
    **how: Any,
) -> None:
    """Make two calls for each model with one client, which knows what is served."""

    def all_of_them(client: Any) -> Any:
        if knows_models:
            client.server.info()
        for model in models * 2:
            answer = way(client, model)
            assert list(answer) if way is stream else answer

    async def all_of_them_async(client: Any) -> Any:
        if knows_models:
            await client.server.info()
        for model in models * 2:
            answer = await way(client, model)
            assert [chunk async for chunk in answer] if way is stream else answer

    calls = all_of_them if caller.kind == "blocking" else all_of_them_async
    caller.run(calls, base_url=server.url, api_key=KEY, **how)


@every_kind
@pytest.mark.parametrize("wire", ["own", "sdk"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_odd(
    caller: Caller, way: Callable[..., Any], wire: str, server: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an answer that is called what it is, by the model that was asked for or its first name, nothing is said."""
    twice(caller, way, server, (MODEL, "sim-alias"), wire=wire)
    assert told(caplog) == []


@every_kind
def test_names_that_are_not_known(
    caller: Caller, server: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it is not known what is served, the other name may be one of the same model: that is no warning."""
    caplog.set_level(logging.INFO, logger="vllm_connect")
    twice(caller, plain, server, ("sim-alias",), knows_models=False)
    assert told(caplog) == []
    assert len([record for record in caplog.records if "as 'sim-model'" in record.message]) == 1


@every_kind
@pytest.mark.parametrize("wire", ["own", "sdk"])
@pytest.mark.parametrize("way", WAYS)
def test_content_type(
    caller: Caller, way: Callable[..., Any], wire: str, server: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """A good answer that its server calls something else is taken, and told once."""
    server.faults.turn_on("wrong-content-type", path="/v1/c*")
    twice(caller, way, server, (MODEL,), wire=wire)
    due = "text/event-stream" if way is stream else "application/json"
    assert told(caplog) == [
        f"{server.url} calls its answers 'text/plain'; they are read as {due}, which they are."
    ]


@every_kind
@pytest.mark.parametrize("wire", ["own", "sdk"])
@pytest.mark.parametrize("way", WAYS)
def test_another_model(
    caller: Caller, way: Callable[..., Any], wire: str, server: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer by the name of another model than was asked for is taken, and told once for each pair of names."""
    server.faults.turn_on("other-model", path="/v1/c*")
    twice(caller, way, server, (MODEL, "sim-alias"), wire=wire)
    assert told(caplog) == [
        f"{server.url} answered a request for the model {asked!r} as 'another-model'. Does a gateway rename it, or "
        "send it elsewhere?"
        for asked in (MODEL, "sim-alias")
    ]


@every_kind
@pytest.mark.parametrize(
    ("name", "shown"),
    [("m" * 50_000, "m" * 100), ("odd\x1b[2Jname", "odd [2Jname"), (f"{'m' * 95}{KEY}", f"{'m' * 95}***")],
    ids=["long", "escapes", "key"],
)
def test_names_that_are_none(caller: Caller, name: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a server calls its model, a warning shows it as a name: short, on one line, without the key."""
    with Simulator(models=(MODEL,), faults=(f"other-model; path=/v1/c*; name={name}",)) as server:
        twice(caller, plain, server, (MODEL,))
    (warned,) = told(caplog)
    assert f"{MODEL!r} as {shown!r}." in warned


def test_no_flood(caplog: pytest.LogCaptureFixture) -> None:
    """A server that thinks of a new name for each answer is told of 64 times at most."""
    with Simulator(models=(MODEL,)) as server:

        def many(client: Any) -> None:
            client.server.info()
            for number in range(70):
                fault = {"X-Simulator-Fault": f"other-model; name=name-{number}"}
                plain(client.with_options(default_headers=fault))

        Caller("blocking").run(many, base_url=server.url)
    assert len(told(caplog)) == 64
