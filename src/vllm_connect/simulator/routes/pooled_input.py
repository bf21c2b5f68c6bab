"""What the pooling routes read: texts, token ids or a conversation, each as the tokens the model would see."""

from typing import Any, Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.model.prompts import chat_text, prompts
from vllm_connect.simulator.model.sampling import check_text_length, check_vocabulary, fit_prompt
from vllm_connect.simulator.model.tokens import BEGIN, END, encode
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import NO_POOLING_MODEL, Refusal, refuse

_TRUNCATION_TOO_LONG: Final = Refusal(
    "truncate_prompt_tokens value is greater than max_model_len. Please request a smaller truncation size."
)


def check_model(name: str | None, engine: Engine) -> None:
    """Refuse a model that is not served, in the words of the pooling routes."""
    if name and name not in engine.options.models and name not in engine.adapters:
        raise refuse(NO_POOLING_MODEL, model=name)


def read_inputs(body: Body, options: Options) -> list[list[int]]:
    """The token ids of every input."""
    if conversation := _conversation(body):
        return [pooled_prompt(chat_text({**body, "messages": conversation}, options), body, options)]
    kept = body["truncate_prompt_tokens"]
    if kept is not None and kept > options.max_model_len:
        raise refuse(_TRUNCATION_TOO_LONG)
    ids = [pooled_prompt(one, body, options) for one in prompts(body["input"])]
    check_vocabulary(ids)
    return ids


def pooled_prompt(given: str | list[int], body: Body, options: Options) -> list[int]:
    """The token ids of one input; a text gets its begin and end marks."""
    if not isinstance(given, str):
        return fit_prompt(given, body, options, tokenized=True, reserve=0)
    check_text_length(given, body, options)
    marked = f"{BEGIN}{given}{END}" if body.get("add_special_tokens", True) else given
    return fit_prompt(encode(marked), body, options, tokenized=False, reserve=0)


def _conversation(body: Body) -> list[Any] | None:
    """Messages, which may come under the name of an input; where both are given, the input counts."""
    given = body["input"]
    if given is None:
        messages: list[Any] | None = body["messages"]
        return messages
    return given if isinstance(given, list) and given and isinstance(given[0], dict) else None
