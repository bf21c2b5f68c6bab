import os

from agents import Agent, Runner, function_tool, set_default_openai_key

set_default_openai_key(os.environ["OPENAI_API_KEY"])


@function_tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"It is sunny in {city}."


plain = Agent(name="Assistant", instructions="Be short.", model="gpt-4o")
print(Runner.run_sync(plain, "Hello").final_output)
