from vllm_connect import OpenAI

client = OpenAI(base_url="http://localhost:8000/v1")


def ask(messages):
    extra = {"structured_outputs": {"regex": r"\d+"}}
    return client.chat.completions.create(messages=messages, extra_body=extra)


def ask_twice(messages):
    extra = {"guided_regex": r"\d+"}
    client.chat.completions.create(messages=messages, extra_body=extra)
    return client.chat.completions.create(messages=messages, extra_body=extra)
