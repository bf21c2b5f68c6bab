from agents import Agent, WebSearchTool

agent = Agent(name="Researcher", model="qwen", tools=[WebSearchTool()])
