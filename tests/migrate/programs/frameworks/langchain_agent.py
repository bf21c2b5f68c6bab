from langchain.agents import create_agent
from langchain.chat_models import init_chat_model

model = init_chat_model("gpt-4o-mini", model_provider="openai", temperature=0)
print(model.invoke("Hello").content)


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It is sunny in {city}."


agent = create_agent("openai:gpt-4o", tools=[weather])
print(agent.invoke({"messages": [{"role": "user", "content": "Hello"}]}, {"recursion_limit": 30})["messages"][-1])
