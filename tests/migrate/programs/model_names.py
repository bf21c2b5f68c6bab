import argparse
import os
from dataclasses import dataclass, field

from openai import OpenAI

DEFAULTS = {"model": "gpt-4o", "max_tokens": 4}


@dataclass
class Settings:
    small: str = field(default="gpt-4o-mini")


def complete(client, prompt, model="gpt-4o"):
    return client.completions.create(model=model, prompt=prompt, max_tokens=4).choices[0].text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="gpt-4o-mini", choices=["gpt-4o", "gpt-4o-mini"])
    args = parser.parse_args()
    client: OpenAI = OpenAI(api_key=os.environ["OPENAI_API_KEY"])
    messages = [{"role": "user", "content": "Are you gpt-4o?"}]
    client.chat.completions.create(messages=messages, **DEFAULTS)
    client.chat.completions.create(messages=messages, model=args.model)
    client.chat.completions.create(messages=messages, model=os.getenv("CHAT_MODEL", Settings().small))
    complete(client, "Once")


if __name__ == "__main__":
    main()
