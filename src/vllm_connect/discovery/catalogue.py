"""Which models a server serves: the flow that reads `/v1/models`, and what its JSON means."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from vllm_connect.discovery.ask import Ask, Reply
from vllm_connect.facts import ServedModel

__all__ = ["discover_models"]


def discover_models() -> Generator[Ask, Reply, tuple[ServedModel, ...]]:
    """Ask for the served models."""
    reply = yield Ask("/models")
    return _served_models(reply.json)


def _served_models(body: Any) -> tuple[ServedModel, ...]:
    cards = body.get("data") if isinstance(body, dict) else None
    if not isinstance(cards, list):
        return ()
    return tuple(
        _served_model(card) for card in cards if isinstance(card, dict) and isinstance(card.get("id"), str)
    )


def _served_model(card: dict[str, Any]) -> ServedModel:
    def text(name: str) -> str | None:
        return card[name] if isinstance(card.get(name), str) else None

    length = card.get("max_model_len")
    return ServedModel(
        id=card["id"],
        root=text("root"),
        parent=text("parent"),
        max_model_len=length if isinstance(length, int) and not isinstance(length, bool) else None,
        owned_by=text("owned_by"),
    )
