"""Adapters, sleep and abort against a real vLLM that has the options which bring them."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.callers import Caller, every_kind
from tests.live.adapters import write_adapter
from tests.live.servers import Server
from vllm_connect import AnswerIncomplete, DeadlineExceeded, OpenAI

MESSAGES: Any = [{"role": "user", "content": "Tell me about the sea."}]
MOST_TIMES = 20
ENDLESS: Any = {"max_tokens": 900, "temperature": 0}


def set_up(server: Server) -> dict[str, Any]:
    """Return the arguments of a client for a server."""
    return {"base_url": server.url, "api_key": server.options.api_key}


@every_kind
def test_adapter(caller: Caller, uds_server: Server, tmp_path: Path) -> None:
    """An adapter that is loaded is a model that answers otherwise than its base, until it is unloaded."""
    folder = str(write_adapter(tmp_path))
    given = set_up(uds_server)
    asked: Any = {"prompt": "the sea", "max_tokens": 8, "temperature": 0}
    caller.run(lambda client: client.server.load_lora_adapter("mine", folder), **given)
    try:
        facts = caller.run(lambda client: client.server.info(), **given)
        assert [(model.id, model.parent) for model in facts.models] == [("tiny", None), ("mine", "tiny")]
        assert {"lora", "sleep", "abort_requests"} <= facts.serves
        own = caller.run(lambda client: client.completions.create(model="mine", **asked), **given)
        base = caller.run(lambda client: client.completions.create(**asked), **given)
        assert (own.model, base.model) == ("mine", "tiny")
        assert own.choices[0].text != base.choices[0].text
        with pytest.raises(openai.BadRequestError, match="already been loaded"):
            caller.run(lambda client: client.server.load_lora_adapter("mine", folder), **given)
    finally:
        caller.run(lambda client: client.server.unload_lora_adapter("mine"), **given)
    with pytest.raises(openai.NotFoundError, match=r"cannot be found\. .* has no LoRA adapter mine loaded"):
        caller.run(lambda client: client.server.unload_lora_adapter("mine"), **given)
    with pytest.raises(openai.NotFoundError, match="No adapter found"):
        caller.run(lambda client: client.server.load_lora_adapter("other", "/nowhere"), **given)


@every_kind
def test_sleep(caller: Caller, uds_server: Server) -> None:
    """While the engine sleeps, /health is 200 and a request hangs; woken, it answers."""
    given = set_up(uds_server)
    caller.run(lambda client: client.server.sleep(level=0, mode="wait"), **given)
    try:
        assert caller.run(lambda client: client.server.is_sleeping(), **given) is True
        assert caller.run(lambda client: client.server.health(), **given) is True
        with pytest.raises(DeadlineExceeded):
            caller.run(lambda client: client.completions.create(prompt="x", timeout=1), **given)
    finally:
        caller.run(lambda client: client.server.wake_up(tags=["weights", "kv_cache"]), **given)
    assert caller.run(lambda client: client.server.is_sleeping(), **given) is False
    caller.run(lambda client: client.completions.create(prompt="x", max_tokens=1), **given)


@pytest.mark.parametrize("route", ["chat", "completion"])
def test_abort(uds_server: Server, route: str) -> None:
    """A request under way is seen in the load, and ends at once, not done, when it is aborted by the id of its answer."""
    more: Any = {**ENDLESS, "extra_body": {"request_id": "endless", "ignore_eos": True}}
    answers: list[Any] = []
    with OpenAI(**set_up(uds_server)) as client:

        def ask() -> None:
            # On a machine that does much else it may be over before it was seen: then once more.
            for _ in range(MOST_TIMES):
                try:
                    if route == "chat":
                        client.chat.completions.create(messages=MESSAGES, **more)
                    else:
                        client.completions.create(prompt="the sea", **more)
                except openai.OpenAIError as error:
                    answers.append(error)
                    return

        asking = threading.Thread(target=ask)
        asking.start()
        while client.server.load() == 0 or client.server.metrics().running == 0:
            assert asking.is_alive(), answers
            time.sleep(0.05)
        client.server.abort("chatcmpl-endless" if route == "chat" else "cmpl-endless-0")
        asking.join(20)
        assert isinstance(answers[0], AnswerIncomplete)
        assert answers[0].partial is not None
        assert answers[0].finish_reasons == ("abort",)
        assert answers[0].partial.usage.completion_tokens < ENDLESS["max_tokens"]
        while client.server.load() > 0:  # counted until after the answer has left
            time.sleep(0.05)
