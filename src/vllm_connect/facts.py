"""What is known of a server, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vllm_connect.errors import ModelNotChosen

__all__ = ["ServedModel", "ServerFacts", "only_base_model"]


@dataclass(frozen=True)
class ServedModel:
    """One entry of `/v1/models`: a base model under one of its names, or an adapter (`parent` is its base).

    `max_model_len` is the context in tokens, None where the server (a gateway) does not say.
    """

    id: str
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None
    owned_by: str | None = None


@dataclass(frozen=True)
class ServerFacts:
    """One server as it answered: address, vLLM version (None where hidden), served models."""

    url: str
    version: str | None
    models: tuple[ServedModel, ...]

    @property
    def base_models(self) -> tuple[ServedModel, ...]:
        """The base models, each under the first of its names."""
        return base_models(self.models)


def base_models(models: Iterable[ServedModel]) -> tuple[ServedModel, ...]:
    """Return the base models, each once: names of one model share its `root`, adapters have a parent."""
    by_root: dict[str, ServedModel] = {}
    for model in models:
        if model.parent is None:
            by_root.setdefault(model.root or model.id, model)
    return tuple(by_root.values())


def only_base_model(models: Iterable[ServedModel], server: str) -> str:
    """Return the name of the one base model; raises ModelNotChosen, naming them, where it is not one."""
    served = tuple(model.id for model in base_models(models))
    if len(served) == 1:
        return served[0]
    if served:
        message = f"`model` was left out and {server} serves several; name one of {', '.join(served)}."
    else:
        message = f"`model` was left out and {server} lists no model; name the one to use."
    raise ModelNotChosen(message, server=server, served=served)
