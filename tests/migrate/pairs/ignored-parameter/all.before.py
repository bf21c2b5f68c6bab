from vllm_connect import OpenAI


def ask(client: OpenAI, text):
    client.completions.create(prompt=text, n=1, best_of=3)
    client.completions.create(prompt=text, best_of=1)
    client.chat.completions.create(messages=text, store=True, verbosity="low", modalities=["text"])
    options = {"audio": {"voice": "alloy"}, "temperature": 0}
    client.chat.completions.create(messages=text, **options)
