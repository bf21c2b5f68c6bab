"""The codemods, one subject each, in the order in which they see a node."""

from vllm_connect.migrate.codemod import Codemod
from vllm_connect.migrate.codemods.clients import Clients
from vllm_connect.migrate.codemods.module_client import ModuleClient
from vllm_connect.migrate.codemods.parameters import Parameters

__all__ = ["CODEMODS"]

CODEMODS: tuple[type[Codemod], ...] = (ModuleClient, Clients, Parameters)
