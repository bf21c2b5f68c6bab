"""POST /v1/chat/completions/batch: several conversations at once, one reply to each."""

import time

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, Work, json_response
from vllm_connect.simulator.model.message import message
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.routes.accounting import duration, usage
from vllm_connect.simulator.routes.chat import choice
from vllm_connect.simulator.routes.dialogue import chat_body, check_in_engine, opened, replies


def answer(request: RecordedRequest, engine: Engine) -> Routed:
    """Reply to each conversation."""
    body = intake.read(request, intake.BATCH, engine.options)
    options = engine.options
    limit = "max_tokens" if body["max_completion_tokens"] is None else "max_completion_tokens"
    # What this route does not take, like tools and streams, it does not hear of.
    known = {field.name: body[field.name] for field in intake.BATCH.shapes[0].fields}
    dialogues = [
        opened(chat_body({**known, "messages": conversation}), engine, limit)
        for conversation in body["messages"]
    ]
    for dialogue in dialogues:
        check_in_engine(dialogue, options)
    generations = [replies(dialogue, options)[0] for dialogue in dialogues]
    read = sum(len(dialogue.prompt) for dialogue in dialogues)
    written = sum(len(generation.steps) for generation in generations)
    said = [
        message(generation, dialogue.body, options)
        for generation, dialogue in zip(generations, dialogues, strict=True)
    ]
    content = {
        "id": f"chatcmpl-{intake.request_id(request, body)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": engine.answering_model(body["model"]),
        "choices": [
            choice(index, one, dialogue.body, engine)
            for index, (one, dialogue) in enumerate(zip(said, dialogues, strict=True))
        ],
        "service_tier": None,
        "system_fingerprint": options.fingerprint,
        "usage": usage(read, written),
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "prompt_text": None,
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": None,
    }
    longest = max(len(generation.steps) for generation in generations)
    return json_response(
        content,
        delay=duration(longest, options),
        work=Work(
            len(generations),
            read,
            written,
            lengths=tuple(len(generation.steps) for generation in generations),
            reasons=tuple(generation.last.finish_reason or "stop" for generation in generations),
        ),
    )
