from vllm_connect import OpenAI


def ask(client: OpenAI, messages):
    client.chat.completions.create(messages=messages, extra_body={"repetition_penalti": 1.1, "top_k": 3, "provider": {}})
