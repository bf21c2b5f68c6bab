"""What the responder says, byte for byte as vLLM 0.32 behind uvicorn says it, made once before anybody asks."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any, Final

CHUNKS: Final = 200
"""How many chunks a dense stream has: the role, the words, and the finish."""
PACED_CHUNKS: Final = 150
"""How many chunks a paced stream has, after which it ends."""
INPUTS: Final = 100
DIMENSIONS: Final = 1024

_MODEL: Final = "Qwen/Qwen3-0.6B"
_FINGERPRINT: Final = "vllm-0.32.0-28304126"
_CREATED: Final = 1795546507
_UVICORN: Final = "HTTP/1.1 200 OK\r\ndate: Tue, 24 Nov 2026 18:55:07 GMT\r\nserver: uvicorn\r\n"
_WORDS: Final = ("This", "train", "crosses", "this", "cloud", "and", "a", "letter")
_USAGE: Final = {
    "prompt_tokens": 15,
    "total_tokens": 23,
    "completion_tokens": 8,
    "prompt_tokens_details": None,
    "completion_tokens_details": None,
}
_NOTHING_TRANSFERRED: Final = {"kv_transfer_params": None, "ec_transfer_params": None, "metrics": None}


def _encoded(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _plain(body: dict[str, Any]) -> bytes:
    content = _encoded(body)
    head = (
        f"{_UVICORN}content-length: {len(content)}\r\ncontent-type: application/json\r\nvary: Origin\r\n\r\n"
    )
    return head.encode() + content


def _http_chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def _event(choice: dict[str, Any], more: dict[str, Any]) -> bytes:
    chunk = {
        "id": "chatcmpl-5a71e90feab14033",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": _MODEL,
        "choices": [choice],
    }
    return _http_chunk(b"data: %b\n\n" % _encoded(chunk | more))


def _events(chunks: int) -> tuple[bytes, ...]:
    """Return a stream's events, each in an HTTP chunk of its own, as uvicorn writes them."""
    role = {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "logprobs": None,
        "finish_reason": None,
    }
    first = _event(role, {"prompt_token_ids": None, "prompt_text": None})
    # No two alike, as in most text: no cache of strings may answer for a client.
    words = [
        {
            "index": 0,
            "delta": {"content": f" {_WORDS[number % len(_WORDS)]}{number}"},
            "logprobs": None,
            "finish_reason": None,
            "token_ids": None,
        }
        for number in range(chunks - 1)
    ]
    finish = words[-1] | {"finish_reason": "length", "stop_reason": None, "token_ids": None}
    last = _event(finish, {"system_fingerprint": _FINGERPRINT})
    return (first, *(_event(word, {}) for word in words[:-1]), last)


def _vector(number: int) -> str:
    values = [((number * 31 + place * 7) % 2000 - 1000) / 1000 for place in range(DIMENSIONS)]
    return base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *values)).decode()


STREAM_HEAD: Final = (
    f"{_UVICORN}content-type: text/event-stream; charset=utf-8\r\nvary: Origin\r\n"
    "transfer-encoding: chunked\r\n\r\n"
).encode()
STREAM_END: Final = _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
DENSE: Final = b"".join(_events(CHUNKS))
PACED: Final = _events(PACED_CHUNKS)

CHAT: Final = _plain(
    {
        "id": "chatcmpl-5e092ca927a34902",
        "object": "chat.completion",
        "created": _CREATED,
        "model": _MODEL,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": " ".join(_WORDS),
                    "refusal": None,
                    "annotations": None,
                    "audio": None,
                    "function_call": None,
                    "reasoning": None,
                },
                "logprobs": None,
                "finish_reason": "length",
                "stop_reason": None,
                "token_ids": None,
                "routed_experts": None,
            }
        ],
        "service_tier": None,
        "system_fingerprint": _FINGERPRINT,
        "usage": _USAGE,
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "prompt_text": None,
        **_NOTHING_TRANSFERRED,
    }
)
COMPLETION: Final = _plain(
    {
        "id": "cmpl-2917e64ffac844dd",
        "object": "text_completion",
        "created": _CREATED,
        "model": _MODEL,
        "choices": [
            {
                "index": 0,
                "text": " This warm winter always",
                "logprobs": None,
                "finish_reason": "length",
                "stop_reason": None,
                "token_ids": None,
                "prompt_logprobs": None,
                "prompt_token_ids": None,
                "routed_experts": None,
            }
        ],
        "service_tier": None,
        "system_fingerprint": _FINGERPRINT,
        "usage": _USAGE,
        **_NOTHING_TRANSFERRED,
    }
)
EMBEDDINGS: Final = _plain(
    {
        "id": "embd-9d0c1f0b7b2f4c6e",
        "object": "list",
        "created": _CREATED,
        "model": _MODEL,
        "data": [
            {"index": number, "object": "embedding", "embedding": _vector(number)} for number in range(INPUTS)
        ],
        "usage": {
            "prompt_tokens": 300,
            "total_tokens": 300,
            "completion_tokens": 0,
            "prompt_tokens_details": None,
        },
    }
)
MODELS: Final = _plain(
    {
        "object": "list",
        "data": [
            {
                "id": _MODEL,
                "object": "model",
                "created": _CREATED,
                "owned_by": "vllm",
                "root": _MODEL,
                "parent": None,
                "max_model_len": 4096,
                "permission": [],
            }
        ],
    }
)
UNKNOWN: Final = (
    b"HTTP/1.1 404 Not Found\r\nserver: uvicorn\r\ncontent-length: 22\r\ncontent-type: application/json\r\n\r\n"
    b'{"detail":"Not Found"}'
)
