from vllm_connect import OpenAI


def ask(client: OpenAI, text):
    client.responses.create(input=text, extra_body={"max_output_tokens": 10})
    client.completions.create(prompt=text, extra_body={"max_tokens": 10})
    client.embeddings.create(input=text, model="bge", extra_body={"use_activation": True})
    client.chat.completions.create(messages=text, max_tokens=10)
    client.completions.create(prompt=text, max_tokens=5, extra_body={"max_completion_tokens": 10})
