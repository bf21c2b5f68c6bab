"""A chat in a terminal."""
from vllm_connect import OpenAI

# Your key from platform.openai.com.
client = OpenAI()

history = [{"role": "system", "content": "You are a helpful assistant."}]


def ask(question):
    history.append({"role": "user", "content": question})
    response = client.chat.completions.create(
        model="gpt-3.5-turbo",
        messages=history,
        temperature=0.7,  # a little warmth
    )
    message = response.choices[0].message
    history.append(message.to_dict())
    return message.content, response.usage.total_tokens


while True:
    answer, tokens = ask(input("> "))
    print(answer, f"({tokens} tokens)")
    print(history[-1]["role"])
