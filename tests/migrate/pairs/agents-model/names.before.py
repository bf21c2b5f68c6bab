from agents import Agent

a = Agent(name="a", model="openai/gpt-4o")
b = Agent(name="b")
c = Agent(name="c", model="litellm/openai/gpt-4o")
d = Agent(name="d", model="qwen")
