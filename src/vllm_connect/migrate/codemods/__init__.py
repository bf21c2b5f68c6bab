"""The codemods, one subject each, in the order in which they see a node."""

from vllm_connect.migrate.codemod import Codemod
from vllm_connect.migrate.codemods.clients import Clients
from vllm_connect.migrate.codemods.dimensions import Dimensions
from vllm_connect.migrate.codemods.endpoints import Endpoints
from vllm_connect.migrate.codemods.environment import Environment
from vllm_connect.migrate.codemods.frameworks import FRAMEWORKS
from vllm_connect.migrate.codemods.legacy_api import LegacyApi
from vllm_connect.migrate.codemods.legacy_errors import LegacyErrors
from vllm_connect.migrate.codemods.legacy_results import LegacyResults
from vllm_connect.migrate.codemods.models import Models
from vllm_connect.migrate.codemods.module_client import ModuleClient
from vllm_connect.migrate.codemods.parameters import Parameters
from vllm_connect.migrate.codemods.reasoning import Reasoning
from vllm_connect.migrate.codemods.tokens import Tokens
from vllm_connect.migrate.codemods.usages import Usages

__all__ = ["CODEMODS"]

CODEMODS: tuple[type[Codemod], ...] = (
    *(LegacyApi, LegacyErrors, LegacyResults),
    *(Endpoints, Models, Tokens, Dimensions),
    *(ModuleClient, Clients, Parameters, Reasoning),
    *FRAMEWORKS,
    Environment,
    Usages,
)
