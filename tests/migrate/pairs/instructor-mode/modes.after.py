import instructor
from instructor import Mode
from vllm_connect import AsyncOpenAI, OpenAI

a = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON_SCHEMA)
b = instructor.from_openai(OpenAI(), mode=instructor.Mode.JSON_SCHEMA)
c = instructor.from_openai(AsyncOpenAI(), Mode.JSON_SCHEMA)
d = instructor.patch(OpenAI(), mode=Mode.JSON)
e = instructor.from_openai(OpenAI(), mode=instructor.Mode.PARALLEL_TOOLS)


def make(client):
    return instructor.from_openai(client)
