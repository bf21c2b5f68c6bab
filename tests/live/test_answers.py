"""The typed accessors against what a real vLLM tells."""

from __future__ import annotations

from typing import Any

from tests.live.servers import Server
from vllm_connect import OpenAI, answers

MESSAGES: Any = [{"role": "user", "content": "Tell me about the sea."}]


def test_told(uds_server: Server) -> None:
    """A server with all that is optional tells every field, of the type that its accessor names."""
    options: Any = {"base_url": uds_server.url, "api_key": uds_server.options.api_key}
    asked: Any = {"max_tokens": 8, "extra_body": {"return_token_ids": True, "prompt_logprobs": 1}}
    with OpenAI(**options) as client:
        answer = client.chat.completions.create(messages=MESSAGES, **asked)
        completed = client.completions.create(prompt="The sea is wide, and " * 20, **asked)
        again = client.completions.create(prompt="The sea is wide, and " * 20, max_tokens=1)
        stopped = client.completions.create(
            prompt="x", max_tokens=8, extra_body={"stop_token_ids": list(range(2000))}
        )
        chunks = list(client.chat.completions.create(messages=MESSAGES, max_tokens=4, stream=True))
    # The qwen3 parser takes all of it for reasoning that has not ended.
    assert answers.reasoning(answer.choices[0].message)
    assert any(answers.reasoning(choice.delta) for chunk in chunks for choice in chunk.choices)
    for told in (answer, completed):
        ids, prompt = answers.token_ids(told.choices[0]), answers.prompt_token_ids(told)
        assert (ids, prompt) != (None, None)
        assert told.usage is not None
        assert (len(ids or ()), len(prompt or ())) == (told.usage.completion_tokens, told.usage.prompt_tokens)
        candidates = answers.prompt_logprobs(told)
        assert candidates is not None
        assert candidates[0] is None
        assert len(candidates) == told.usage.prompt_tokens
        assert answers.metrics(told)
        assert answers.kv_transfer_params(told) is None
    assert (answers.cached_tokens(again) or 0) > 0
    assert isinstance(answers.stop_reason(stopped.choices[0]), int)
