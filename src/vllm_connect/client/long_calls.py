"""Long calls carried as streams: when, and what a server's answers tell of whether that is the same.

A plain call sends no byte before its end, so that nothing tells a server at work from one that is gone. Carried as a
stream and put together again, its first token and its stalls are seen. By itself that is done only where it cannot be
told from the plain call: for request forms that are proven equal (`assembly`), on a server whose plain answers have
shown it to be a vLLM that does not parse reasoning, and where the answer may become long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vllm_connect.client.assembly import Route

__all__ = ["Carriage"]

Mode = Literal["auto", "stream", "plain"]

# Tokens from which on a call is long: some seconds of one GPU.
LONG = 512
# Tokens per event: enough to see that a server is alive, at a fraction of the cost of one event per token.
INTERVAL = 16


ANSWERS = frozenset({"chat.completion", "text_completion"})


@dataclass
class Carriage:
    """What one server's plain answers have told so far; shared by a client and its copies."""

    is_vllm: bool | None = None
    differs: bool = False

    def carried(self, mode: Mode, route: Route, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the body of the stream that a plain call travels as, None where it stays plain."""
        if mode == "plain" or (mode == "auto" and not self._is_the_same(route, body)):
            return None
        # Loaded when first needed, as all that reads answers: it costs what importing a client may.
        from vllm_connect.client.assembly import as_stream, can_be_streamed  # noqa: PLC0415

        if not can_be_streamed(route, body):
            return None
        return as_stream(body, interval=INTERVAL if self.is_vllm else None)

    def learn(self, answer: Any) -> None:
        """Take note of what a plain answer shows; vLLM alone names `kv_transfer_params`."""
        if answer.object not in ANSWERS:
            return
        self.is_vllm = "kv_transfer_params" in (answer.__pydantic_extra__ or ())
        if any(getattr(choice, "routed_experts", None) is not None for choice in answer.choices):
            self.differs = True  # a stream has no place for them
        self.note_reasoning(answer)

    def note_reasoning(self, answer: Any) -> None:
        """Take note of a server that parses reasoning, whose plain answers differ from its streams."""
        from vllm_connect.client.assembly import parses_reasoning  # noqa: PLC0415 - as above

        if answer.object == "chat.completion" and parses_reasoning(answer):
            self.differs = True

    def _is_the_same(self, route: Route, body: Mapping[str, Any]) -> bool:
        if not self.is_vllm or self.differs:
            return False
        tokens = body.get("max_completion_tokens") or body.get("max_tokens")
        if tokens is None:  # a chat goes on to the end of the context, a completion stops after 16 tokens
            return route == "chat"
        return isinstance(tokens, int) and tokens >= LONG
