import os

import openai

openai.api_key = os.getenv("OPENAI_API_KEY")
openai.organization = os.getenv("OPENAI_ORG_ID")


def complete(prompt):
    return openai.Completion.create(engine="qwen", prompt=prompt, max_tokens=4, best_of=1)


def ask(question):
    answer = openai.ChatCompletion.create(
        model="qwen",
        messages=[{"role": "user", "content": question}],
        request_timeout=20,
    )
    return answer.choices[0].message.content


if __name__ == "__main__":
    print(complete("Once upon a").choices[0].text)
    print(ask("Say hello."))
