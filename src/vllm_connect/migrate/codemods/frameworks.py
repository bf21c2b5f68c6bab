"""The codemods of frameworks; they come last, as what they write for a model is more than its name."""

from vllm_connect.migrate.codemod import Codemod
from vllm_connect.migrate.codemods.agents import Agents
from vllm_connect.migrate.codemods.dspy import DSPy
from vllm_connect.migrate.codemods.haystack import Haystack
from vllm_connect.migrate.codemods.instructor import Instructor
from vllm_connect.migrate.codemods.langchain import LangChain
from vllm_connect.migrate.codemods.litellm import LiteLLM
from vllm_connect.migrate.codemods.llamaindex import LlamaIndex
from vllm_connect.migrate.codemods.pydantic_ai import PydanticAI

__all__ = ["FRAMEWORKS"]

FRAMEWORKS: tuple[type[Codemod], ...] = (
    LangChain,
    LlamaIndex,
    LiteLLM,
    Instructor,
    Agents,
    PydanticAI,
    DSPy,
    Haystack,
)
