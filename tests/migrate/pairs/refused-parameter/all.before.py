from vllm_connect import OpenAI


def ask(client: OpenAI, text):
    client.embeddings.create(input=text, model="bge", dimensions=256)
    client.completions.create(prompt=text, suffix="the end")
    client.responses.create(input=text, prompt={"id": "pmpt_1"})
