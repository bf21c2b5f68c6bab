"""The codemods, one subject each, in the order in which they see a node."""

from vllm_connect.migrate.codemod import Codemod
from vllm_connect.migrate.codemods.clients import Clients
from vllm_connect.migrate.codemods.parameters import Parameters

__all__ = ["CODEMODS"]

CODEMODS: tuple[type[Codemod], ...] = (Clients, Parameters)
