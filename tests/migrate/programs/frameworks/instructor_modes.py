import asyncio

import instructor
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel


class City(BaseModel):
    name: str


messages = [{"role": "user", "content": "Name a city."}]
client = instructor.from_openai(OpenAI())
city = client.chat.completions.create(model="gpt-4o", response_model=City, messages=messages, temperature=0)
assert isinstance(city, City)


async def main():
    later = instructor.from_openai(AsyncOpenAI(), mode=instructor.Mode.TOOLS_STRICT)
    assert isinstance(await later.chat.completions.create(model="gpt-4o", response_model=City, messages=messages), City)


asyncio.run(main())
provided = instructor.from_provider("openai/gpt-4o-mini")
assert isinstance(provided.chat.completions.create(response_model=City, messages=messages), City)
