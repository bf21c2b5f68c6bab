"""POST /v1/chat/completions."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Stream, json_response
from vllm_connect.simulator.model import logprobs, sampling
from vllm_connect.simulator.model.generation import Generation
from vllm_connect.simulator.model.message import Delta, Message, deltas, echoed, message, role
from vllm_connect.simulator.model.prompts import chat_text
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
from vllm_connect.simulator.routes.dialogue import Dialogue, check_in_engine, opened, replies, work
from vllm_connect.simulator.routes.engine_load import check_rank, with_load
from vllm_connect.simulator.routes.streaming import bundled, interleaved

Chunk = dict[str, Any]


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Routed a chat request, streamed or whole."""
    body = intake.read(request, intake.CHAT, engine.options)
    options = engine.options
    limit = "max_tokens" if body["max_completion_tokens"] is None else "max_completion_tokens"
    dialogue = opened(body, engine, limit)
    head = {
        "id": f"chatcmpl-{intake.request_id(request, body)}",
        "object": "chat.completion.chunk" if body["stream"] else "chat.completion",
        "created": int(time.time()),
        "model": engine.answering_model(body["model"]),
    }
    try:
        check_rank(request)
        check_in_engine(dialogue, options)
    except Refused as refused:
        if not body["stream"]:
            raise
        return refused_stream(refused, options)
    if body["stream"]:
        return _streamed(dialogue, head, replies(dialogue, options), engine)
    return with_load(request, _whole(dialogue, head, replies(dialogue, options), engine), engine)


def _shows_metadata(body: Body, engine: Engine) -> bool:
    """Hidden reasoning hides the tokens it is made of, once any parser is at work."""
    return bool(body["include_reasoning"]) or not engine.options.has_parser


def _usage(dialogue: Dialogue, messages: list[Message], engine: Engine) -> dict[str, Any]:
    options = engine.options
    thought = sum(message.reasoning_tokens for message in messages)
    generated = sum(len(message.generation.steps) for message in messages)
    read = None if dialogue.body["use_beam_search"] else prompt_details(dialogue.cached, 0, options)
    return usage(len(dialogue.prompt), generated, thought if _counts_thoughts(engine) else None, read)


def _counts_thoughts(engine: Engine) -> bool:
    return bool(engine.options.reasoning_parser and engine.options.behaviour.counts_reasoning)


def _running_usage(prompt: list[int], generated: int, thought: int | None) -> dict[str, Any]:
    so_far = None if thought is None else min(thought, generated)
    counted = usage(len(prompt), generated, so_far)
    return {key: value for key, value in counted.items() if key != "prompt_tokens_details"}


def _whole(dialogue: Dialogue, head: Chunk, generations: list[Generation], engine: Engine) -> Routed:
    body, prompt, options = dialogue.body, dialogue.prompt, engine.options
    messages = [message(generation, body, options) for generation in generations]
    steps = max(len(generation.steps) for generation in generations)
    content = {
        **head,
        "choices": [choice(index, message, body, engine) for index, message in enumerate(messages)],
        "service_tier": None,
        "system_fingerprint": options.fingerprint,
        "usage": _usage(dialogue, messages, engine),
        "prompt_logprobs": _prompt_logprobs(body, prompt),
        "prompt_token_ids": prompt if body["return_token_ids"] else None,
        "prompt_text": chat_text(body, options) if body["return_prompt_text"] else None,
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": timing(steps, options) if len(generations) == 1 else None,
    }
    return json_response(content, delay=duration(steps, options), work=work(dialogue, generations))


def _prompt_logprobs(body: Body, prompt: list[int]) -> Any:
    count = body["prompt_logprobs"]
    if count is None and body["echo"]:
        count = body["top_logprobs"]
    return None if count is None else logprobs.prompt_logprobs(prompt, count)


def choice(index: int, message: Message, body: Body, engine: Engine) -> Chunk:
    """One choice of a whole reply."""
    generation, shown = message.generation, _shows_metadata(body, engine)
    top = sampling.wanted_logprobs(body) if shown else None
    as_ids = bool(body["return_tokens_as_token_ids"])
    return {
        "index": index,
        "message": message.fields,
        "logprobs": None if top is None else logprobs.chat(generation.ids, top, as_ids=as_ids),
        "finish_reason": message.finish_reason,
        "stop_reason": generation.last.stop_reason,
        "token_ids": generation.ids if body["return_token_ids"] and shown else None,
        "routed_experts": None,
    }


def _streamed(dialogue: Dialogue, head: Chunk, generations: list[Generation], engine: Engine) -> Routed:
    chunks = _chunks(dialogue, head, generations, engine)
    named = replace(work(dialogue, generations), name=head["id"])
    return Stream(paced(chunks, engine.options), work=named)


def _chunks(
    dialogue: Dialogue, head: Chunk, generations: list[Generation], engine: Engine
) -> Iterator[tuple[int, Chunk]]:
    body, prompt = dialogue.body, dialogue.prompt
    with_usage, running = wanted_usage(body, engine.options)
    # What is thought is thought first, so its count grows with the output until all of it is there.
    thought = (
        message(generations[0], body, engine.options).reasoning_tokens if _counts_thoughts(engine) else None
    )
    ids = prompt if body["return_token_ids"] else None
    text = chat_text(body, engine.options) if body["return_prompt_text"] else None
    interval = max(body["stream_interval"] or 1, engine.options.stream_interval)
    streams = [
        bundled(_pieces(index, deltas(generation, body, engine.options), body, engine), interval)
        for index, generation in enumerate(generations)
    ]
    counted = {"usage": _running_usage(prompt, 0, thought)} if running else {}
    for index in range(len(generations)):
        opening = _opening(index, {"role": role(body), "content": ""})
        yield (
            int(index == 0),
            {**head, "choices": [opening], **counted, "prompt_token_ids": ids, "prompt_text": text},
        )
    if repeated := echoed(body):
        for index in range(len(generations)):
            yield 0, {**head, "choices": [_opening(index, {"content": repeated})], **counted}
    for waited, place, piece in interleaved(streams, 0, lambda: engine.is_aborted(head["id"]), _aborted):
        counted = {"usage": _running_usage(prompt, place + 1, thought)} if running else {}
        ended = piece["finish_reason"] is not None and not with_usage
        stamp = {"system_fingerprint": engine.options.fingerprint} if ended else {}
        yield waited, {**head, "choices": [piece], **counted, **stamp}
    if with_usage:
        messages = [message(generation, body, engine.options) for generation in generations]
        timed = timing(len(generations[0].steps), engine.options) if len(generations) == 1 else None
        yield 0, closing(head, _usage(dialogue, messages, engine), timed, engine.options)


def _opening(index: int, delta: Chunk) -> Chunk:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}


def _aborted(index: int) -> Chunk:
    return {**_opening(index, {}), "finish_reason": "abort", "stop_reason": None, "token_ids": None}


def _pieces(index: int, told: list[Delta], body: Body, engine: Engine) -> list[Chunk | None]:
    return [_chunk_choice(index, place, delta, body, engine) for place, delta in enumerate(told)]


def _chunk_choice(index: int, place: int, delta: Delta, body: Body, engine: Engine) -> Chunk | None:
    shown = _shows_metadata(body, engine)
    top = sampling.wanted_logprobs(body) if shown else None
    with_ids = bool(body["return_token_ids"]) and shown
    step = delta.step
    if delta.fields is None and delta.finish_reason is None and top is None and not with_ids:
        return None
    as_ids = bool(body["return_tokens_as_token_ids"])
    return {
        "index": index,
        "delta": delta.fields or {},
        "logprobs": None if top is None else logprobs.chat([step.token], top, place, as_ids=as_ids),
        "finish_reason": delta.finish_reason,
        **({"stop_reason": step.stop_reason} if delta.finish_reason else {}),
        "token_ids": [step.token] if with_ids else None,
    }
