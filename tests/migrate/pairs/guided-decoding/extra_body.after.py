from vllm_connect import OpenAI


def ask(client: OpenAI, schema, messages):
    return client.chat.completions.create(
        messages=messages,
        extra_body={
            "structured_outputs": {"json": schema, "whitespace_pattern": r"[ ]?"},
            "top_k": 5,
        },
    )


def choose(client: OpenAI, prompt):
    client.completions.create(prompt=prompt, extra_body={'structured_outputs': {"choice": ["yes", "no"]}})
    client.completions.create(prompt=prompt, extra_body=dict(structured_outputs={"regex": "a+"}))
