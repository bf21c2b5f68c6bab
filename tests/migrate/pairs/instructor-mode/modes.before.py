import instructor
from instructor import Mode
from openai import AsyncOpenAI, OpenAI

a = instructor.from_openai(OpenAI())
b = instructor.from_openai(OpenAI(), mode=instructor.Mode.TOOLS)
c = instructor.from_openai(AsyncOpenAI(), Mode.FUNCTIONS)
d = instructor.patch(OpenAI(), mode=Mode.JSON)
e = instructor.from_openai(OpenAI(), mode=instructor.Mode.PARALLEL_TOOLS)


def make(client):
    return instructor.from_openai(client)
