"""`vllm-connect models`: what a server serves."""

from __future__ import annotations

import dataclasses

from vllm_connect.cli.options import Connection, Json, Timeout, connecting
from vllm_connect.cli.terminal import print_json, print_table

__all__ = ["models"]


@connecting
def models(connection: Connection, timeout: Timeout = None, json: Json = False) -> None:
    """List the models that a server serves.

    With their context lengths, aliases and adapters.
    """
    with connection.client(timeout=timeout) as client:
        facts = client.server.info()
    if json:
        print_json([dataclasses.asdict(model) for model in facts.models])
        return
    print_table(
        ("model", "context", "root", "adapter of"),
        [(model.id, model.max_model_len, model.root, model.parent) for model in facts.models],
    )
