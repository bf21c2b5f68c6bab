from vllm_connect import OpenAI


def ask(client: OpenAI, schema, messages):
    return client.chat.completions.create(
        messages=messages,
        extra_body={
            "guided_json": schema,
            "guided_whitespace_pattern": r"[ ]?",
            "guided_decoding_backend": "xgrammar",
            "top_k": 5,
        },
    )


def choose(client: OpenAI, prompt):
    client.completions.create(prompt=prompt, extra_body={'guided_choice': ["yes", "no"]})
    client.completions.create(prompt=prompt, extra_body=dict(guided_regex="a+"))
