"""What is known of one server, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vllm_connect.facts.names import listed
from vllm_connect.facts.routes import ROUTES, Kind, Service

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
    """One server as it answered; what it, or a gateway before it, does not tell is None.

    `version` is vLLM's; `serves` holds the kinds of request that have a route, None where that cannot be found
    out; `needs_key` says whether the models are listed only to who has a key; `declares` holds the parameters that
    its own `/openapi.json` names, by kind of request, None where that is hidden.
    """

    url: str
    version: str | None
    models: tuple[ServedModel, ...]
    serves: frozenset[Service] | None = None
    needs_key: bool | None = None
    declares: Mapping[str, frozenset[str]] | None = field(default=None, repr=False, hash=False)

    @property
    def base_models(self) -> tuple[ServedModel, ...]:
        """The base models, each under the first of its names."""
        return base_models(self.models)

    @property
    def max_model_len(self) -> int | None:
        """The context in tokens of the one base model, None where there are several or it is not told."""
        lengths = {model.max_model_len for model in self.base_models}
        return lengths.pop() if len(lengths) == 1 else None

    @property
    def kind(self) -> Kind | None:
        """What the server does, "generate" or "pooling"; None where it is not known or a gateway offers both.

        Older releases have the routes of both kinds, whatever their model does.
        """
        kinds = {route.kind for route in ROUTES if route.service in (self.serves or ())} - {None}
        return kinds.pop() if len(kinds) == 1 else None

    @property
    def is_vllm(self) -> bool | None:
        """Whether it is a vLLM: True by its version or the owner of a model, False by other owners alone."""
        owners = {model.owned_by for model in self.models} - {None}
        if self.version is not None or "vllm" in owners:
            return True
        # Other engines give a context length too, so that it does not tell a vLLM; an owner of theirs does.
        return False if owners else None


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
        message = f"`model` was left out and {server} serves several; name one in the call or as VLLM_MODEL: {listed(served)}."
    else:
        message = f"`model` was left out and {server} lists no model; correct base_url if it is no vLLM server, else name the model to use."
    from vllm_connect.errors import ModelNotChosen  # noqa: PLC0415 - a migration needs the facts and not the SDK

    raise ModelNotChosen(message, server=server, served=served)
