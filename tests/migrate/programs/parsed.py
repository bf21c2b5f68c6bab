from openai import OpenAI
from pydantic import BaseModel


class Person(BaseModel):
    name: str


def main():
    client = OpenAI()
    answer = client.chat.completions.parse(
        model="qwen",
        messages=[{"role": "user", "content": "Who are you?"}],
        response_format=Person,
        metadata={"run": "1"},
    )
    print(answer.choices[0].message.parsed)


main()
