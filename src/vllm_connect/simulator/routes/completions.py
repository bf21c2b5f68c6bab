"""POST /v1/completions."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Stream, Work, json_response
from vllm_connect.simulator.model import constraints, logprobs, sampling
from vllm_connect.simulator.model.generation import Generation, Step, generate, randomness, spoken
from vllm_connect.simulator.model.prompts import check_prompts, prompts, text_prompt
from vllm_connect.simulator.model.sampling import fit_prompt
from vllm_connect.simulator.model.speech import constrained
from vllm_connect.simulator.model.tokens import decode
from vllm_connect.simulator.options import Options
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import Refused
from vllm_connect.simulator.routes.accounting import (
    closing,
    duration,
    paced,
    prompt_details,
    refused_stream,
    timing,
    usage,
    wanted_usage,
)
from vllm_connect.simulator.routes.engine_load import check_rank, with_load
from vllm_connect.simulator.routes.streaming import bundled, interleaved

Chunk = dict[str, Any]


@dataclass(frozen=True)
class _Sequence:
    """One continuation of one prompt, and what of both the caller sees."""

    prompt: list[int]
    generation: Generation
    echoed: str
    cached: int
    """How many of the prompt's tokens had been read before."""

    def shown_prompt(self, body: Body) -> list[int]:
        """The prompt's tokens as far as they belong to the output."""
        return self.prompt if body["echo"] else []

    def shown_steps(self, body: Body) -> tuple[Step, ...]:
        """The steps as far as they are shown: an echo of zero tokens generates one and hides it."""
        return () if _is_echo_only(body) else self.generation.steps


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Continue one or several prompts, streamed or whole."""
    body = intake.read(request, intake.COMPLETION, engine.options)
    body["max_tokens"] = 16 if body["max_tokens"] is None else body["max_tokens"]
    options = engine.options
    check_prompts("prompt", body["prompt"])
    sampling.check_stop(body, options.version)
    constraints.check_count(body)
    engine.check_model(body["model"])
    engine.check_admission(body["n"])
    sampling.check_output_limit(body["max_tokens"], "max_tokens", options)
    sampling.check_truncation(body, options)
    asked = [_prompt(prompt, body, engine) for prompt in prompts(body["prompt"])]
    for ids in asked:
        sampling.check(body, _max_tokens(body, ids, engine), options.version)
    head = {
        "id": f"cmpl-{intake.request_id(request, body)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": engine.answering_model(body["model"]),
    }
    try:
        check_rank(request)
        sampling.check_in_engine(body, asked, options)
        constraints.check_in_engine(body)
    except Refused as refused:
        if not body["stream"]:
            raise
        return refused_stream(refused, options)
    sequences = [_sequence(ids, body, engine, index) for ids in asked for index in range(body["n"])]
    if body["stream"]:
        return _streamed(body, head, sequences, engine)
    return with_load(request, _whole(body, head, sequences, engine), engine)


def _prompt(prompt: str | list[int], body: Body, engine: Engine) -> list[int]:
    if isinstance(prompt, str):
        return text_prompt(prompt, body, engine.options)
    return fit_prompt(prompt, body, engine.options, tokenized=True)


def _is_echo_only(body: Body) -> bool:
    return bool(body["echo"]) and body["max_tokens"] == 0


def _max_tokens(body: Body, prompt: list[int], engine: Engine) -> int:
    if _is_echo_only(body):
        return 1
    return min(int(body["max_tokens"]), engine.options.max_model_len - len(prompt))


def _sequence(prompt: list[int], body: Body, engine: Engine, index: int) -> _Sequence:
    random = randomness(prompt, None if sampling.is_greedy(body) else body["seed"], index)
    limits = sampling.limits(body, _max_tokens(body, prompt, engine))
    echoed = decode(prompt) if body["echo"] and not body["return_token_ids"] else ""
    generation = generate(constrained(body, random) or spoken(random), limits, random)
    return _Sequence(
        prompt, generation, echoed, 0 if index else engine.prefixes.read(prompt, body["cache_salt"])
    )


def _usage(body: Body, sequences: list[_Sequence], options: Options) -> dict[str, Any]:
    first = sequences[:: body["n"]]
    prompted = sum(len(sequence.prompt) for sequence in first)
    written = sum(len(sequence.generation.steps) for sequence in sequences)
    # Of several prompts the last one's hits are told.
    told = first and not body["use_beam_search"]
    read = prompt_details(first[-1].cached, None, options) if told else None
    return usage(prompted, written, None, read)


def _work(body: Body, sequences: list[_Sequence]) -> Work:
    first = sequences[:: body["n"]]
    lengths = tuple(len(sequence.generation.steps) for sequence in sequences)
    return Work(
        len(sequences),
        sum(len(sequence.prompt) for sequence in first),
        sum(lengths),
        cached_tokens=sum(sequence.cached for sequence in first),
        lengths=lengths,
        reasons=tuple(sequence.generation.last.finish_reason or "stop" for sequence in sequences),
        max_tokens=body["max_tokens"],
    )


def _whole(body: Body, head: Chunk, sequences: list[_Sequence], engine: Engine) -> Routed:
    steps = max((len(sequence.generation.steps) for sequence in sequences), default=0)
    content = {
        **head,
        "choices": [_choice(index, sequence, body) for index, sequence in enumerate(sequences)],
        "service_tier": None,
        "system_fingerprint": engine.options.fingerprint,
        "usage": _usage(body, sequences, engine.options),
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": timing(steps, engine.options) if len(sequences) == 1 else None,
    }
    return json_response(content, delay=duration(steps, engine.options), work=_work(body, sequences))


def _choice(index: int, sequence: _Sequence, body: Body) -> Chunk:
    steps, last = sequence.shown_steps(body), sequence.generation.last
    shown = sequence.shown_prompt(body) + [step.token for step in steps]
    count = body["prompt_logprobs"]
    if count is None and body["echo"]:
        count = body["logprobs"]
    with_ids = bool(body["return_token_ids"])
    return {
        "index": index,
        "text": sequence.echoed + "".join(step.text for step in steps),
        "logprobs": _logprobs(shown, body, echoes=bool(body["echo"])),
        "finish_reason": last.finish_reason,
        "stop_reason": last.stop_reason,
        "token_ids": sequence.generation.ids if with_ids else None,
        "prompt_logprobs": None if count is None else logprobs.prompt_logprobs(sequence.prompt, count),
        "prompt_token_ids": sequence.prompt if with_ids else None,
        "routed_experts": None,
    }


def _logprobs(
    ids: list[int], body: Body, place: int = 0, offset: int = 0, *, echoes: bool = False
) -> dict[str, Any] | None:
    if body["logprobs"] is None:
        return None
    as_ids = bool(body["return_tokens_as_token_ids"])
    return logprobs.completion(ids, body["logprobs"], place, offset, as_ids=as_ids, echoes=echoes)


def _streamed(body: Body, head: Chunk, sequences: list[_Sequence], engine: Engine) -> Routed:
    named = replace(_work(body, sequences), name=head["id"])
    return Stream(paced(_chunks(body, head, sequences, engine), engine.options), work=named)


def _chunks(
    body: Body, head: Chunk, sequences: list[_Sequence], engine: Engine
) -> Iterator[tuple[int, Chunk]]:
    with_usage, running = wanted_usage(body, engine.options)
    interval = max(body["stream_interval"] or 1, engine.options.stream_interval)
    streams = [
        bundled(_chunk_choices(index, sequence, body), interval) for index, sequence in enumerate(sequences)
    ]
    for waited, place, piece in interleaved(streams, 1, lambda: engine.is_aborted(head["id"]), _aborted):
        prompted = len(sequences[piece["index"]].prompt)
        counted = {"usage": _running_usage(prompted, place + 1)} if running else {}
        ended = piece["finish_reason"] is not None and not with_usage
        stamp = {"system_fingerprint": engine.options.fingerprint} if ended else {}
        yield waited, {**head, "choices": [piece], **counted, **stamp}
    if with_usage:
        steps = len(sequences[0].generation.steps) if len(sequences) == 1 else 0
        timed = timing(steps, engine.options) if steps else None
        yield 0, closing(head, _usage(body, sequences, engine.options), timed, engine.options)


def _aborted(index: int) -> Chunk:
    return {
        "index": index,
        "text": "",
        "logprobs": None,
        "finish_reason": "abort",
        "stop_reason": None,
        "prompt_token_ids": None,
        "token_ids": None,
    }


def _running_usage(prompted: int, generated: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompted,
        "total_tokens": prompted + generated,
        "completion_tokens": generated,
    }


def _chunk_choices(index: int, sequence: _Sequence, body: Body) -> list[Chunk]:
    """The chunks of one sequence; the echoed prompt rides on the first."""
    choices, offset = [], 0
    with_ids = bool(body["return_token_ids"])
    for place, step in enumerate(sequence.generation.steps):
        first = place == 0
        shown = sequence.shown_prompt(body) if first else []
        shown = shown if _is_echo_only(body) else [*shown, step.token]
        start = 0 if first else len(sequence.shown_prompt(body)) + place
        reported = _logprobs(shown, body, start, offset, echoes=first and bool(body["echo"]))
        offset += sum(map(len, reported["tokens"])) if reported else 0
        text = "" if _is_echo_only(body) else step.text
        choices.append(
            {
                "index": index,
                "text": (sequence.echoed if first else "") + text,
                "logprobs": reported,
                "finish_reason": step.finish_reason,
                "stop_reason": step.stop_reason,
                "prompt_token_ids": sequence.prompt if first and (with_ids or body["echo"]) else None,
                "token_ids": [step.token] if with_ids else None,
            }
        )
    return choices
