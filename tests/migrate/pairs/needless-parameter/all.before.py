from vllm_connect import OpenAI


def ask(client: OpenAI, text):
    client.chat.completions.create(
        messages=text,
        metadata={"who": "me"},
        temperature=0,  # greedy
        prompt_cache_key="a",
        service_tier="flex",
    )
