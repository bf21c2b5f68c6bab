"""A chat in a terminal."""
import os
import openai

# Your key from platform.openai.com.
openai.api_key = os.getenv("OPENAI_API_KEY")
openai.organization = os.getenv("OPENAI_ORG_ID")

history = [{"role": "system", "content": "You are a helpful assistant."}]


def ask(question):
    history.append({"role": "user", "content": question})
    response = openai.ChatCompletion.create(
        model="gpt-3.5-turbo",
        messages=history,
        temperature=0.7,  # a little warmth
    )
    message = response["choices"][0]["message"]
    history.append(message)
    return message["content"], response["usage"]["total_tokens"]


while True:
    answer, tokens = ask(input("> "))
    print(answer, f"({tokens} tokens)")
    print(history[-1]["role"])
