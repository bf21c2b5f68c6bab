"""`vllm-connect models`: what a server serves."""

from __future__ import annotations

import dataclasses

from vllm_connect.cli.options import Address, AskKey, Json, KeyFile, Profile, Url, arguments, client
from vllm_connect.cli.terminal import print_json, print_table

__all__ = ["models"]


def models(
    address: Address = None,
    url: Url = None,
    profile: Profile = None,
    key_file: KeyFile = None,
    ask_key: AskKey = False,
    json: Json = False,
) -> None:
    """List the models that a server serves, with their context lengths."""
    with client(arguments(address, url, profile, key_file, ask_key=ask_key)) as connected:
        facts = connected.server.info()
    if json:
        print_json([dataclasses.asdict(model) for model in facts.models])
        return
    print_table(
        ("model", "context", "root", "adapter of"),
        [(model.id, model.max_model_len, model.root, model.parent) for model in facts.models],
    )
