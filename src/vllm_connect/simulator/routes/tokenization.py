"""POST /tokenize and /detokenize."""

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, json_response
from vllm_connect.simulator.model.prompts import chat_text, check_messages
from vllm_connect.simulator.model.tokens import BEGIN, END, decode, encode
from vllm_connect.simulator.requests import fields, intake


def tokenize(request: RecordedRequest, engine: Engine) -> Routed:
    """Count and list the tokens of a text or a conversation."""
    body = intake.read(request, intake.TOKENIZE, engine.options)
    if body["prompt"] is None and body["messages"] is None:
        raise fields.refused([fields.missing(name, request.json()) for name in ("prompt", "messages")])
    engine.check_model(body["model"])
    if body["prompt"] is None:
        check_messages(body["messages"])
        ids = encode(chat_text(body, engine.options))
    else:
        marked = engine.options.kind == "pooling" and body["add_special_tokens"] is not False
        ids = encode(f"{BEGIN}{body['prompt']}{END}" if marked else body["prompt"])
    return json_response(
        {
            "count": len(ids),
            "max_model_len": engine.options.max_model_len,
            "tokens": ids,
            "token_strs": [decode([token]) for token in ids] if body["return_token_strs"] else None,
        }
    )


def detokenize(request: RecordedRequest, engine: Engine) -> Routed:
    """Give the text of token ids."""
    body = intake.read(request, intake.DETOKENIZE, engine.options)
    engine.check_model(body["model"])
    return json_response({"prompt": decode(body["tokens"])})
