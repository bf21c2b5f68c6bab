"""Cut streams gone on with by token ids (`resume`): which, from where, and how what follows is read; no I/O.

A stream that broke off is continued as a text completion of the ids of its prompt and of the tokens that came: the
model is in the state in which it was lost, and nothing is generated twice but what the caller never saw. That holds
only for requests whose further tokens depend on the tokens so far and on nothing else, so that every parameter of a
request stands in a table here, or the stream is not gone on with. Never with tools, structured output, reasoning, log
probabilities, stop strings (one may lie across the cut), penalties of the output alone, or a seed.

The ids must be the text: the server itself is asked what they stand for, and where that is not what the caller has, as
with parsers that change the text or hide some of it, the stream stays cut.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vllm_connect.client.server.calls import detokenize, tokenize
from vllm_connect.client.server.question import Question
from vllm_connect.errors import Partial

if TYPE_CHECKING:
    from vllm_connect.client.assembly import Route

__all__ = ["TOKEN_IDS", "Continuation", "Cut", "Spliced", "can_be_resumed", "continuation"]

# What a request needs so that its stream can be gone on with.
TOKEN_IDS: Mapping[str, Any] = {"return_token_ids": True}
# What stands for the bytes of a character that has not come whole.
INCOMPLETE = "\ufffd"
# The tokens of a completion that names no limit.
COMPLETION_TOKENS = 16
# The names of the limit of tokens, in the order in which vLLM takes them.
LIMITS: Mapping[Route, tuple[str, ...]] = {
    "chat": ("max_completion_tokens", "max_tokens"),
    "completion": ("max_tokens",),
}
# Tokens that the bytes of one character may come in, but for the one that completes it.
MOST_INCOMPLETE = 3


def _anything(_: object) -> bool:
    return True


def _unset(value: object) -> bool:
    return value is None


def _off(value: object) -> bool:
    return value is None or value is False


def _zero(value: object) -> bool:
    return value is None or value == 0


def _one(value: object) -> bool:
    return value is None or value == 1


def _count(value: object) -> bool:
    return value is None or type(value) is int


def _texts_alone(messages: object) -> bool:
    """Whether a conversation is text: of a picture the ids of a prompt hold only the place."""
    if not isinstance(messages, list | tuple):
        return False
    contents = [message.get("content") for message in messages if isinstance(message, Mapping)]
    return len(contents) == len(messages) and all(map(_is_text, contents))


def _is_text(content: object) -> bool:
    if isinstance(content, list | tuple):
        return all(isinstance(part, Mapping) and part.get("type") == "text" for part in content)
    return content is None or isinstance(content, str)


def _single(prompt: object) -> bool:
    """Whether a prompt is one: a text, or the ids of its tokens."""
    if isinstance(prompt, list | tuple):
        return bool(prompt) and all(isinstance(one, int) for one in prompt)
    return isinstance(prompt, str)


# Means the same for the rest as for the whole, and is sent with it.
_KEPT = frozenset(
    {
        *("model", "user", "stream_options", "stream_interval", "priority", "cache_salt", "session_id"),
        *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "logit_bias", "allowed_token_ids"),
        *("stop_token_ids", "ignore_eos", "skip_special_tokens", "spaces_between_special_tokens"),
    }
)
# Has done its work once the ids of the prompt are there, or is counted down.
_SPENT: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(
        (
            *(
                "stream",
                "return_token_ids",
                "return_tokens_as_token_ids",
                "request_id",
            ),
            *(
                "add_special_tokens",
                "truncate_prompt_tokens",
                "truncation_side",
                "include_stop_str_in_output",
            ),
            *("store", "metadata", "service_tier", "prompt_cache_key", "safety_identifier"),
        ),
        _anything,
    ),
    **dict.fromkeys((*LIMITS["chat"], "min_tokens"), _count),
    **dict.fromkeys(("n", "best_of"), _one),
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "top_logprobs"), _zero),
    **dict.fromkeys(("logprobs", "echo", "use_beam_search"), _off),
    **dict.fromkeys(("stop", "tools", "tool_choice", "prompt_logprobs", "suffix", "seed"), _unset),
    "response_format": lambda value: value is None or value == {"type": "text"},
}
_PROMPTS: Mapping[Route, Mapping[str, Callable[[object], bool]]] = {
    "chat": {
        "messages": _texts_alone,
        **dict.fromkeys(
            (
                *("chat_template", "chat_template_kwargs", "add_generation_prompt", "continue_final_message"),
                *("documents", "reasoning_effort", "include_reasoning"),
            ),
            _anything,
        ),
    },
    "completion": {"prompt": _single},
}


def can_be_resumed(route: Route, asked: Mapping[str, Any]) -> bool:
    """Whether a stream of this request can be gone on with where it is cut."""
    fits = {**_SPENT, **_PROMPTS[route], **dict.fromkeys(_KEPT, _anything)}
    return all(name in fits and fits[name](value) for name, value in asked.items())


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a stream was cut: the ids of its prompt and of what came, the text that its caller has, what it was not given."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    text: str
    unseen: str = ""

    @classmethod
    def of(cls, partial: Partial, unseen: str) -> Cut | None:
        """Return it, None where what came is not plain text with its ids; `unseen`: what the caller was not given."""
        choice = partial.choices.get(0)
        if choice is None or len(partial.choices) > 1 or choice.finish_reason not in (None, "abort", "error"):
            return None
        if choice.reasoning or choice.tool_calls or not choice.token_ids or not partial.prompt_token_ids:
            return None
        return cls(partial.prompt_token_ids, choice.token_ids, choice.text.removesuffix(unseen), unseen)


@dataclass(frozen=True, slots=True)
class Continuation:
    """What is asked for the rest of a stream; `tokens` are what it goes on behind, `owed` the text of these that was held back."""

    body: Mapping[str, Any]
    tokens: tuple[int, ...]
    owed: str


def continuation(
    route: Route, asked: Mapping[str, Any], cut: Cut, seconds: Callable[[], float]
) -> Generator[Question[Any], Any, Continuation | None]:
    """Yield what must be asked of a server; return what to ask for the rest, None where it cannot be told.

    `asked` is the request of the stream, `seconds` gives the time for the next question.
    """
    model = asked["model"]
    before = yield detokenize(cut.prompt, model=model, timeout=seconds())
    # No more than this: what a server does not show of its tokens, as a mark that thinking begins, is not to be shown.
    came = before + cut.text + cut.unseen
    tokens = cut.tokens
    for _ in range(MOST_INCOMPLETE + 1):
        whole = yield detokenize((*cut.prompt, *tokens), model=model, timeout=seconds())
        if whole == came:
            break
        # A character of several tokens that was cut within itself is generated anew.
        tokens = tokens[:-1]
        if not tokens or not whole.endswith(INCOMPLETE):
            return None
    else:
        return None
    limit = next((asked[name] for name in LIMITS[route] if asked.get(name) is not None), None)
    if route == "completion" and "max_tokens" not in asked:
        limit = COMPLETION_TOKENS
    if limit is None:  # to the end of the context
        room: object = (yield tokenize("a", model=model, timeout=seconds())).max_model_len
        if type(room) is not int:
            return None
        limit = room - len(cut.prompt)
    if limit <= len(tokens):
        return None
    body = {name: value for name, value in asked.items() if name in _KEPT}
    body |= {"prompt": [*cut.prompt, *tokens], "stream": True, "max_tokens": limit - len(tokens), **TOKEN_IDS}
    if asked.get("min_tokens"):
        body["min_tokens"] = max(0, asked["min_tokens"] - len(tokens))
    return Continuation(body, tokens, cut.unseen)


class Spliced:
    """Reads the events of a continuation as those of the stream that it goes on with.

    The first of them carries `resumed`: true, which tells who keeps chunks where the cut was.
    """

    def __init__(
        self, route: Route, read: Callable[[bytes], Any], identity: str, continued: Continuation
    ) -> None:
        self._route = route
        self._read = read
        self._identity = identity
        self._before = len(continued.tokens)
        self._owed = continued.owed
        self._is_first = True

    def __call__(self, payload: bytes) -> Any:
        try:
            event = json.loads(payload)
        except (ValueError, RecursionError):  # the reader says what it is
            return self._read(payload)
        if not isinstance(event, dict) or not isinstance(event.get("choices"), list):
            return self._read(payload)
        return self._read(json.dumps(self._moved(event)).encode())

    def _moved(self, event: dict[str, Any]) -> dict[str, Any]:
        event = {**event, "choices": [self._choice(choice) for choice in event["choices"]]}
        if self._identity:
            event["id"] = self._identity
        if self._route == "chat":
            event["object"] = "chat.completion.chunk"
        if isinstance(event.get("usage"), dict):
            event["usage"] = self._counted(event["usage"])
        if self._is_first:
            self._is_first = False
            event["resumed"] = True
        return event

    def _choice(self, choice: Any) -> Any:
        if not isinstance(choice, dict) or not isinstance(choice.get("text"), str):
            return choice
        moved = {name: value for name, value in choice.items() if name != "prompt_token_ids"}
        text, self._owed = self._owed + choice["text"], ""
        if self._route == "completion":
            return {**moved, "text": text}
        del moved["text"]
        return {**moved, "delta": {"content": text}}

    def _counted(self, usage: dict[str, Any]) -> dict[str, Any]:
        """Return the usage of the whole: what was sent with the prompt was generated before."""
        prompt, generated = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not (isinstance(prompt, int) and isinstance(generated, int)):
            return usage
        moved = {"prompt_tokens": prompt - self._before, "completion_tokens": generated + self._before}
        return {**usage, **moved}
