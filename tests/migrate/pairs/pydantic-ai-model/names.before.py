from pydantic_ai import Agent
from pydantic_ai.models.fallback import FallbackModel

a = Agent("openai:gpt-4o", instructions="Be short.")
b = Agent(model="openai-responses:gpt-4o-mini")
c = Agent("anthropic:claude-sonnet-4-5")
d = Agent(FallbackModel("openai:gpt-4o", "anthropic:claude-sonnet-4-5"))
a.run_sync("Hello", model="azure:gpt-4o")


def make(name):
    return Agent(name)
