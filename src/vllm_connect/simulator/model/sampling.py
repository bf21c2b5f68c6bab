"""The sampling parameters of a request, checked as vLLM's engine checks them."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from vllm_connect.simulator.model.generation import Limits
from vllm_connect.simulator.model.tokens import MAX_CHARACTERS, SIZE, encode
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import fields
from vllm_connect.simulator.requests.refusals import (
    PROMPT_AND_OUTPUT_TOO_LONG,
    PROMPT_TOO_LONG,
    TEXT_AND_OUTPUT_TOO_LONG,
    TEXT_TOO_LONG,
    TOO_MANY_TOKENS,
    Refusal,
    refuse,
)
from vllm_connect.simulator.versions import is_since

Body = Mapping[str, Any]


class Range(NamedTuple):
    """A range rule: what holds, and what is said when it does not."""

    name: str
    holds: Callable[[Any], bool]
    text: str
    names_parameter: bool = False
    since: str = ""
    """The first release seen to have it."""


_MOST_PENALTY = _MOST_TEMPERATURE = 2

RANGES: Final = (
    Range("presence_penalty", lambda value: abs(value) <= _MOST_PENALTY, "must be in [-2, 2], got {value}."),
    Range("frequency_penalty", lambda value: abs(value) <= _MOST_PENALTY, "must be in [-2, 2], got {value}."),
    Range("repetition_penalty", math.isfinite, "must be a finite number, got {value}."),
    Range("repetition_penalty", lambda value: value > 0, "must be greater than zero, got {value}."),
    Range("temperature", math.isfinite, "must be a finite number, got {value}.", names_parameter=True),
    Range(
        "temperature", lambda value: value >= 0, "must be non-negative, got {value}.", names_parameter=True
    ),
    Range(
        "temperature",
        lambda value: value <= _MOST_TEMPERATURE,
        "must be in [0, 2], got {value}.",
        names_parameter=True,
        since="0.24.0",
    ),
    Range("top_p", lambda value: 0 < value <= 1, "must be in (0, 1], got {value}.", names_parameter=True),
    Range("top_k", lambda value: value >= -1, "must be 0 (disable), or at least 1, got {value}."),
    Range("min_p", lambda value: 0 <= value <= 1, "must be in [0, 1], got {value}."),
    Range("max_tokens", lambda value: value >= 1, "must be at least 1, got {value}.", names_parameter=True),
    Range("min_tokens", lambda value: value >= 0, "must be greater than or equal to 0, got {value}."),
)

_N_TOO_SMALL = Refusal("n must be at least 1, got {n}.")
_N_TOO_LARGE = Refusal(
    "n must be at most 16384, got {n}. To increase this limit, set the VLLM_MAX_N_SEQUENCES environment variable."
)
_BEAM_TOO_WIDE = Refusal(
    "beam_width must be at most 16384, got {n}. To increase this limit, set the VLLM_MAX_N_SEQUENCES environment"
    " variable."
)
_BAD_PATTERN = Refusal(
    "max_pattern_size, min_pattern_size must be >=0, with min_pattern_size <= max_pattern_size. Set both to 0 to"
    " disable repetitive pattern detection."
)
_TOO_FEW_REPETITIONS = Refusal(
    "min_count must be >= 2 to detect repetitive patterns in engine output. If you do not wish to detect repetitive"
    " patterns, set max_pattern_size to 0."
)
_LEAST_REPETITIONS = 2
_N_GREEDY = Refusal("n must be 1 when using greedy sampling, got {n}.")
_MIN_ABOVE_MAX = Refusal("min_tokens must be less than or equal to max_tokens={most}, got {least}.")
_EMPTY_STOP = Refusal("stop cannot contain an empty string.")
_MAX_LOGPROBS = Refusal(
    "Requested sample logprobs of {count}, which is greater than max allowed: {limit}", "logprobs"
)
_MAX_PROMPT_LOGPROBS = Refusal(
    "Requested prompt logprobs of {count}, which is greater than max allowed: {limit}", "prompt_logprobs"
)
_NO_ALLOWED_TOKENS = Refusal("allowed_token_ids is not None and empty!", "allowed_token_ids")
_TOKEN_OUTSIDE = Refusal("allowed_token_ids contains out-of-vocab token id!", "allowed_token_ids")
_BIAS_OUTSIDE = Refusal(
    "token_id(s) {ids} in logit_bias contain out-of-vocab token ids. Vocabulary size: {size}", "logit_bias"
)
_BIAS_NOT_IDS = Refusal(
    "logit_bias contains key(s) that cannot be converted to integer token IDs: {keys}", "logit_bias"
)
_EMPTY_BAD_WORD = Refusal("bad_words cannot contain an empty string. Got bad_words={words}")
_NO_REASONING = Refusal(
    "thinking_token_budget is set but reasoning_config is not configured."
    " Please set --reasoning-parser and/or --reasoning-config to use thinking_token_budget."
)
_OUT_OF_VOCABULARY = Refusal("Token id {token} is out of vocabulary")
_TRUNCATION_TOO_LONG = (
    "truncate_prompt_tokens={kept} cannot be greater than {room} = {limit}."
    " Please request a smaller truncation size."
)
_MAX_STOPS = 4
_MAX_STOPS_SINCE = "0.28.0"
_MAX_N = 16384
_GREEDY_BELOW = 1e-5
# A made-up model has no logits: only a bias that would beat all of them decides.
_DECIDING_BIAS = 50


def check_output_limit(requested: int | None, parameter: str, options: Options) -> None:
    """Refuse an output limit that no prompt could leave room for."""
    if requested is not None and requested > options.max_model_len:
        text = TOO_MANY_TOKENS.format(parameter=parameter, tokens=requested, limit=options.max_model_len)
        raise refuse(Refusal(text, parameter), value=requested)


def check_truncation(body: Body, options: Options) -> None:
    """Refuse to keep more of a prompt than the context holds."""
    kept, reserved = body["truncate_prompt_tokens"], _reserved_output(body, options)
    limit = options.max_model_len - (reserved or 0)
    if kept is not None and kept > limit:
        room = "max_model_len" if reserved is None else "max_model_len - max_tokens"
        text = _TRUNCATION_TOO_LONG.format(kept=kept, room=room, limit=limit)
        raise refuse(Refusal(text, "truncate_prompt_tokens"), value=kept)


def check_stop(body: Body, version: str) -> None:
    """Refuse a `stop` that is neither a text nor a list of up to four."""
    stop = body["stop"]
    if stop is None or isinstance(stop, str | tuple):
        return
    errors = [fields.error("string_type", "stop", stop)]
    if not isinstance(stop, list):
        raise fields.refused([*errors, fields.error("list_type", "stop", stop)])
    if len(stop) > _MAX_STOPS and is_since(version, _MAX_STOPS_SINCE):
        message = f"List should have at most {_MAX_STOPS} items after validation, not {len(stop)}"
        context: dict[str, Any] = {"field_type": "List", "max_length": _MAX_STOPS, "actual_length": len(stop)}
        raise fields.refused([*errors, fields.error("too_long", "stop", stop, message, **context)])
    wrong = [
        fields.error("string_type", f"stop.{place}", item)
        for place, item in enumerate(stop)
        if not isinstance(item, str)
    ]
    if wrong:
        raise fields.refused(errors + wrong)


def check_text_length(text: str, body: Body, options: Options) -> None:
    """Refuse a text too long to be worth tokenizing."""
    reserved = _reserved_output(body, options)
    limit = options.max_model_len - (reserved or 0)
    most = limit * MAX_CHARACTERS
    if body.get("truncate_prompt_tokens") is None and len(text) > most:
        refusal = TEXT_TOO_LONG if reserved is None else TEXT_AND_OUTPUT_TOO_LONG
        raise refuse(
            refusal,
            value=len(text),
            context=options.max_model_len,
            limit=limit,
            output=reserved,
            count=len(text),
            most=most,
        )


def fit_prompt(
    ids: list[int], body: Body, options: Options, *, tokenized: bool, reserve: int = 1
) -> list[int]:
    """The prompt's tokens, truncated where asked for; refuses a prompt beyond the context."""
    reserved = _reserved_output(body, options)
    kept = body.get("truncate_prompt_tokens")
    if kept is not None:
        kept = options.max_model_len - reserve if kept < 0 else kept
        ids = ids[:kept] if body.get("truncation_side") == "right" else ids[max(0, len(ids) - kept) :]
    limit = options.max_model_len - (reserved or 0)
    if len(ids) > limit:
        # The tokenizer stops one token behind the limit, so the count of a longer text is only a floor.
        count = len(ids) if tokenized else limit + 1
        floor = "at least " if count == limit + 1 else ""
        refusal = PROMPT_TOO_LONG if reserved is None else PROMPT_AND_OUTPUT_TOO_LONG
        raise refuse(
            refusal,
            value=count,
            context=options.max_model_len,
            output=reserved,
            count=f"{floor}{count}",
            total=f"{floor}{count + (reserved or 0)}",
        )
    return ids


def _reserved_output(body: Body, options: Options) -> int | None:
    """The output that a prompt must leave room for; None where a release cuts the output instead."""
    if options.behaviour.clamps_output:
        return None
    asked = body.get("max_completion_tokens")
    return (body.get("max_tokens") if asked is None else asked) or 0


def check(body: Body, max_tokens: int, version: str) -> None:
    """Refuse sampling parameters outside their ranges, in vLLM's order and words."""
    wrong = [key for key in body["logit_bias"] or () if not key.lstrip("-").isdecimal()]
    if wrong:
        raise refuse(_BIAS_NOT_IDS, value=wrong, keys=wrong)
    _check_sequences(body)
    values = {**body, "max_tokens": max_tokens}
    for rule in RANGES:
        value = values.get(rule.name)
        if value is not None and is_since(version, rule.since) and not rule.holds(value):
            text = f"{rule.name} {rule.text.format(value=value)}"
            if rule.names_parameter:
                raise refuse(Refusal(text, rule.name), value=value)
            raise refuse(Refusal(text))
    if body["min_tokens"] > max_tokens:
        raise refuse(_MIN_ABOVE_MAX, most=max_tokens, least=body["min_tokens"])
    _check_repetition(body["repetition_detection"] or {})
    if "" in stop_strings(body):
        raise refuse(_EMPTY_STOP)
    if "" in body["bad_words"]:
        raise refuse(_EMPTY_BAD_WORD, words=body["bad_words"])
    if is_greedy(body) and (body["n"] or 1) > 1 and not body["use_beam_search"]:
        raise refuse(_N_GREEDY, n=body["n"])


def is_greedy(body: Body) -> bool:
    """Whether sampling takes the likeliest token each time."""
    return body["temperature"] is not None and body["temperature"] < _GREEDY_BELOW


def stop_strings(body: Body) -> tuple[str, ...]:
    """The stop strings, one or several."""
    stop = body["stop"] or ()
    return (stop,) if isinstance(stop, str) else tuple(stop)


def wanted_logprobs(body: Body) -> int | None:
    """How many alternatives each token comes with; None for no logprobs at all."""
    if isinstance(body["logprobs"], bool) or body["logprobs"] is None:
        return (body.get("top_logprobs") or 0) if body["logprobs"] else None
    return int(body["logprobs"])


def limits(body: Body, max_tokens: int) -> Limits:
    """What ends each sequence of this request."""
    return Limits(
        max_tokens,
        body["min_tokens"],
        stop_strings(body),
        frozenset(body["stop_token_ids"] or ()),
        body["include_stop_str_in_output"],
        body["ignore_eos"],
        _allowed(body),
        _banned(body),
        _repetition(body),
    )


def _allowed(body: Body) -> tuple[int, ...]:
    """The tokens that are left: those allowed, and of these the ones that a bias makes far likelier than all others."""
    favoured = [int(token) for token, bias in (body["logit_bias"] or {}).items() if bias >= _DECIDING_BIAS]
    allowed = body["allowed_token_ids"] or ()
    return tuple(token for token in favoured if not allowed or token in allowed) or tuple(allowed)


def _banned(body: Body) -> tuple[tuple[int, ...], ...]:
    """What may not come: words, at the beginning of a text or behind others, and tokens with a bias against them."""
    forms = (form for word in body["bad_words"] for form in (word, " " + word.lstrip()))
    words = dict.fromkeys(tuple(encode(form)) for form in forms)
    tokens = ((int(token),) for token, bias in (body["logit_bias"] or {}).items() if bias <= -_DECIDING_BIAS)
    return (*words, *tokens)


def _repetition(body: Body) -> tuple[int, int, int] | None:
    asked = body["repetition_detection"]
    if not asked or not asked.get("max_pattern_size"):
        return None
    return asked.get("min_pattern_size", 0), asked["max_pattern_size"], asked["min_count"]


def _check_sequences(body: Body) -> None:
    n = 1 if body["n"] is None else body["n"]
    if n < 1:
        raise refuse(_N_TOO_SMALL, n=n)
    if n > _MAX_N:
        raise refuse(_BEAM_TOO_WIDE if body["use_beam_search"] else _N_TOO_LARGE, n=n)


def _check_repetition(asked: Mapping[str, Any]) -> None:
    most, least = asked.get("max_pattern_size", 0), asked.get("min_pattern_size", 0)
    if most < 0 or least < 0 or least > most:
        raise refuse(_BAD_PATTERN)
    if most and asked.get("min_count", 0) < _LEAST_REPETITIONS:
        raise refuse(_TOO_FEW_REPETITIONS)


def check_in_engine(body: Body, prompts: Iterable[Sequence[int]], options: Options) -> None:
    """Refuse what vLLM's engine refuses, which a stream only learns after its 200."""
    check_vocabulary(prompts)
    if body["thinking_token_budget"] is not None and not options.reasoning_parser:
        raise refuse(_NO_REASONING)
    for refusal, count in (
        (_MAX_LOGPROBS, wanted_logprobs(body)),
        (_MAX_PROMPT_LOGPROBS, body["prompt_logprobs"]),
    ):
        wanted = SIZE if count == -1 else count
        if wanted is not None and wanted > options.max_logprobs:
            raise refuse(refusal, value=wanted, count=wanted, limit=options.max_logprobs)
    outside = [int(number) for number in body["logit_bias"] or () if not 0 <= int(number) < SIZE]
    if outside:
        raise refuse(_BIAS_OUTSIDE, value=outside, ids=outside, size=SIZE)
    allowed = body["allowed_token_ids"]
    if allowed is not None and not allowed:
        raise refuse(_NO_ALLOWED_TOKENS, value=allowed)
    if allowed and any(not 0 <= number < SIZE for number in allowed):
        raise refuse(_TOKEN_OUTSIDE, value=allowed)


def check_vocabulary(prompts: Iterable[Sequence[int]]) -> None:
    """Refuse token ids that the model does not know."""
    token = next((token for ids in prompts for token in ids if token >= SIZE), None)
    if token is not None:
        raise refuse(_OUT_OF_VOCABULARY, token=token)
