from pydantic_ai import Agent
from pydantic_ai.settings import ModelSettings

agent = Agent("openai:gpt-4o", instructions="Be short.", model_settings=ModelSettings(temperature=0, max_tokens=32))
print(agent.run_sync("What is vLLM?").output)
print(agent.run_sync("Hello", model="openai:gpt-4o-mini").output)
