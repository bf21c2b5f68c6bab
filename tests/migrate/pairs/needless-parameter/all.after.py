from vllm_connect import OpenAI


def ask(client: OpenAI, text):
    client.chat.completions.create(
        messages=text,
        temperature=0,  # greedy
    )
