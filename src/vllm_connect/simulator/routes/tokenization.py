"""POST /tokenize and /detokenize."""

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Routed, json_response
from vllm_connect.simulator.model.prompts import CHAT_TEMPLATE, chat_text, check_messages
from vllm_connect.simulator.model.tokens import BEGIN, END, SPECIAL, TURN_END, decode, encode
from vllm_connect.simulator.requests import intake


def tokenize(request: RecordedRequest, engine: Engine) -> Routed:
    """Count and list the tokens of a text or a conversation."""
    body = intake.read(request, intake.TOKENIZE, engine.options)
    engine.check_model(body["model"])
    if body["prompt"] is None:
        check_messages(body["messages"])
        ids = encode(chat_text(body, engine.options))
    else:
        marked = engine.options.kind == "pooling" and body["add_special_tokens"]
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


def tokenizer_info(_: RecordedRequest, engine: Engine) -> Routed:
    """GET /tokenizer_info: what the tokenizer was made from."""
    return json_response(
        {
            "tokenizer_class": "SimulatedTokenizer",
            "backend": "tokenizers",
            "bos_token": BEGIN,
            "eos_token": TURN_END,
            "model_max_length": engine.options.max_model_len,
            "pad_token": END,
            "chat_template": CHAT_TEMPLATE,
            "truncation_side": "left",
            "name_or_path": engine.options.models[0],
            "is_local": True,
            "local_files_only": True,
            "added_tokens_decoder": {str(number): text for number, text in enumerate(SPECIAL)},
        }
    )
