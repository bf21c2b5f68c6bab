"""What vLLM tells beside the SDK's types: typed accessors, and reasoning under one name whatever the release."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessage

from tests.callers import Caller, every_kind
from vllm_connect import answers
from vllm_connect.simulator import Simulator

MODEL = "qwen"
MESSAGES: Any = [{"role": "user", "content": "Think, then say something."}]
# Releases by what they call it: the old name, both, today's.
RELEASES = ("0.10.2", "0.13.0", "0.32.0")
WAYS = {
    "lane": {},
    "SDK's path": {"wire": "sdk"},
}


def chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=40, **more)


@every_kind
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", RELEASES)
def test_reasoning(caller: Caller, way: str, version: str) -> None:
    """Message and delta have `reasoning` whatever the server calls it, and dumps stay the SDK's."""
    options: Any = {"long_calls": "plain", **WAYS[way]}
    with Simulator(models=(MODEL,), version=version, reasoning_parser="qwen3") as server:
        answer = caller.run(chat, base_url=server.url, **options)
        chunks = caller.run(lambda client: chat(client, stream=True), base_url=server.url, **options)
        with openai.OpenAI(base_url=server.url, api_key="none") as sdk:
            plain = chat(sdk).choices[0].message
    message = answer.choices[0].message
    assert message.reasoning
    assert answers.reasoning(message) == message.reasoning
    # As the SDK alone dumps it, into a history too.
    assert message.model_dump() == plain.model_dump()
    assert message.model_dump(exclude_unset=True) == plain.model_dump(exclude_unset=True)
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    told = [delta.reasoning for delta in deltas if getattr(delta, "reasoning", None)]
    assert "".join(told) == message.reasoning
    assert "".join(answers.reasoning(delta) or "" for delta in deltas) == message.reasoning


@every_kind
def test_told(caller: Caller) -> None:
    """Each accessor gives what the server told, of the type that it names."""
    more: Any = {"return_token_ids": True, "prompt_logprobs": 1}
    options: Any = {"enable_prompt_tokens_details": True, "enable_per_request_metrics": True}
    with Simulator(models=(MODEL,), **options) as server:
        answer = caller.run(lambda client: chat(client, extra_body=more), base_url=server.url)
        completed = caller.run(
            lambda client: client.completions.create(model=MODEL, prompt="The sea", extra_body=more),
            base_url=server.url,
        )
        again = caller.run(chat, base_url=server.url)
    for told in (answer, completed):
        choice = told.choices[0]
        ids, prompt = answers.token_ids(choice), answers.prompt_token_ids(told)
        assert ids is not None
        assert prompt is not None
        assert (len(ids), len(prompt)) == (told.usage.completion_tokens, told.usage.prompt_tokens)
        candidates = answers.prompt_logprobs(told)
        assert candidates is not None
        assert candidates[0] is None
        assert len(candidates) == len(prompt)
        assert answers.metrics(told)
        assert answers.stop_reason(choice) is None
        assert answers.kv_transfer_params(told) is None
    assert isinstance(answers.cached_tokens(again), int)


ODD: dict[str, Any] = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "metrics": [1],
    "kv_transfer_params": "no",
    "prompt_token_ids": [1, "2"],
    "prompt_logprobs": {},
    "usage": None,
}


def test_odd() -> None:
    """What is missing, or of another type than vLLM's, is None."""
    message = ChatCompletionMessage.model_construct(role="assistant", content=None, reasoning=3)
    choice: Any = {
        "index": 0,
        "finish_reason": "stop",
        "message": message,
        "stop_reason": True,
        "token_ids": 7,
    }
    answer = ChatCompletion.construct(**ODD, choices=[choice])
    assert answers.reasoning(message) is None
    assert answers.stop_reason(answer.choices[0]) is None
    assert answers.token_ids(answer.choices[0]) is None
    for read in (
        answers.metrics,
        answers.kv_transfer_params,
        answers.prompt_token_ids,
        answers.prompt_logprobs,
        answers.cached_tokens,
    ):
        assert read(answer) is None


@pytest.mark.parametrize(
    ("stop", "expected"), [({"stop": ["e"]}, "e"), ({"stop_token_ids": list(range(4, 5000))}, int)]
)
def test_stop_reason(stop: Any, expected: Any) -> None:
    """The stop string, or the id of the token, that ended the answer."""
    with Simulator(models=(MODEL,)) as server:
        answer = Caller("blocking").run(lambda client: chat(client, extra_body=stop), base_url=server.url)
    reason = answers.stop_reason(answer.choices[0])
    assert reason == expected or type(reason) is expected
