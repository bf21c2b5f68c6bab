"""What is asked in the measurements, once as arguments for an SDK and once as bytes for the floor."""

from __future__ import annotations

import json
from typing import Any, Final

from benchmarks.answers import INPUTS

MODEL: Final = "dense"
# So few tokens that no client has a reason to carry the call as a stream.
_MAX_TOKENS: Final = 8
EMBEDDINGS: Final[dict[str, Any]] = {
    "model": MODEL,
    "input": [f"The text that has number {number}." for number in range(INPUTS)],
}


def chat(model: str = MODEL) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": "Say something."}],
        "max_tokens": _MAX_TOKENS,
    }


def on_the_wire(path: str, body: dict[str, Any]) -> bytes:
    """Return a whole request, as small as a server accepts it."""
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
