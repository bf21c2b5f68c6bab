"""What a request is about, as far as it says which replica is best: its model, its session, its prompt's beginning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm_connect.dispatch import Subject
from vllm_connect.replicas import prefix_key

__all__ = ["subject_of"]

# The header by which routers before vLLM keep a session at one server; sent only where the caller gave it.
SESSION_HEADER = "x-session-id"


def subject_of(body: Mapping[str, Any], headers: Mapping[str, Any]) -> Subject:
    """Return the subject of a request: a session that its caller named ranks before what its prompt shares.

    A session is named by the header `X-Session-ID`, or by vLLM's own parameter `session_id`.
    """
    model = body.get("model")
    session = next((value for name, value in headers.items() if name.lower() == SESSION_HEADER), None)
    session = body.get("session_id") if session is None else session
    key = f"session {session}".encode() if isinstance(session, str) and session else prefix_key(body)
    return Subject(model if isinstance(model, str) else None, key)
