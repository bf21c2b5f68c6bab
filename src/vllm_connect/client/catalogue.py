"""What the server was found to serve, shared by a client and its copies."""

from __future__ import annotations

from dataclasses import dataclass, field

from vllm_connect.client.long_calls import Carriage
from vllm_connect.facts import ServedModel

__all__ = ["Catalogue"]


@dataclass
class Catalogue:
    """The served models as last listed, None before the first time.

    `was_asked` says that they were asked for to learn which kind of server it is, which is done until it answers.

    Mutable and shared by threads and tasks: each assignment replaces a whole frozen value, so that the worst
    of a race is a list asked for twice.
    """

    models: tuple[ServedModel, ...] | None = None
    was_asked: bool = False
    carriage: Carriage = field(default_factory=Carriage)
