"""What is odd about an answer that is good all the same: told in the log, once for each kind."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, Protocol

from vllm_connect.facts import ServedModel
from vllm_connect.facts.names import named

__all__ = ["EVENTS", "JSON", "Oddities"]

log = logging.getLogger("vllm_connect")

JSON = "application/json"
EVENTS = "text/event-stream"
# Names come from servers, which may think of a new one for every answer.
MOST_KINDS = 64
# A name that is longer is no model's, and not worth keeping.
LONGEST_KEPT = 1000


class Answered(Protocol):
    """What is seen of a call: who has answered it, by what client it was asked."""

    @property
    def client(self) -> Any: ...

    @property
    def server(self) -> str: ...


class Oddities:
    """Which kinds of answers a client and its copies have met, and what was told of them; for any number of threads.

    `types` are pairs of a content type and what was due: who finds its own there need not ask further.
    """

    __slots__ = ("_names", "_told", "types")

    def __init__(self) -> None:
        # By the model that an answer names: how its name stands in the body of a request for it.
        self._names: dict[str, bytes] = {}
        self.types: set[tuple[str | bytes | None, str]] = set()
        self._told: set[tuple[str, str]] = set()

    def note_type(self, answered: Answered, content_type: str | bytes | None, due: str) -> None:
        """Take note of what an answer is called by its server; `due` is what it was read as."""
        kind = (content_type, due)
        if kind in self.types or len(self.types) >= MOST_KINDS:
            return
        self.types.add(kind)
        text = content_type.decode("latin-1") if isinstance(content_type, bytes) else content_type or ""
        media_type = text.partition(";")[0].strip().lower()
        if media_type != due and not (due == JSON and media_type.endswith("+json")):
            called = (
                f"calls its answers {named(media_type)!r}"
                if media_type
                else "does not say what its answers are"
            )
            log.warning("%s %s; they are read as %s, which they are.", answered.server, called, due)

    def note_model_in(self, answered: Answered, told: object, body: bytes) -> None:
        """Take note of the model that an answer names; `body` is that of the request."""
        if not isinstance(told, str) or not told:
            return
        name = self._names.get(told)
        if name is None:
            name = json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass")
            if len(self._names) < MOST_KINDS and len(told) <= LONGEST_KEPT:
                self._names[told] = name
        if name not in body:
            try:
                asked = json.loads(body).get("model")
            except (ValueError, RecursionError, AttributeError):
                return
            self.note_model(answered, told, asked)

    def note_model(self, answered: Answered, told: object, asked: object) -> None:
        """Take note of the model that an answer names, and of the one that was asked for."""
        if not (isinstance(told, str) and isinstance(asked, str)) or not told or asked == told:
            return
        key = answered.client._credentials.at_hand
        shown = told if key is None else key.scrub(told)  # servers echo what they are sent
        pair = (named(asked), named(shown))
        if pair in self._told or len(self._told) >= MOST_KINDS:
            return
        self._told.add(pair)
        client = answered.client
        if client.settings.endpoint.is_openai or _are_one(client._catalogue.models or (), asked, told):
            return
        # A server that was never asked for its models may serve one under both names: vLLM answers by the first.
        log.log(
            logging.INFO if client._catalogue.models is None else logging.WARNING,
            "%s answered a request for the model %r as %r. Does a gateway rename it, or send it elsewhere?",
            answered.server,
            *pair,
        )


def _are_one(served: Sequence[ServedModel], asked: str, told: str) -> bool:
    """Whether both are names of one model that is served."""
    roots = {model.id: model.root or model.id for model in served}
    return told in roots and roots[told] == roots.get(asked, roots[told])
