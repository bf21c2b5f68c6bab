from pydantic_ai import Agent
from pydantic_ai.models.fallback import FallbackModel

a = Agent("vllm:qwen", instructions="Be short.")
b = Agent(model="vllm:qwen-small")
c = Agent("anthropic:claude-sonnet-4-5")
d = Agent(FallbackModel("vllm:qwen", "anthropic:claude-sonnet-4-5"))
a.run_sync("Hello", model="vllm:qwen")


def make(name):
    return Agent(name)
