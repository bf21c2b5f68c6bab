from vllm_connect import OpenAI


def ask(client: OpenAI, messages, schema=None, strict=True, any_client=None):
    client.chat.completions.create(messages=messages, extra_body={"guided_json": schema if strict else None})
    client.chat.completions.create(messages=messages, extra_body={"guided_json": schema, "guided_regex": "a+"})
    any_client.chat.completions.create(messages=messages, extra_body={"guided_regex": "a+"})
