import requests


def ask(key, prompt):
    """Ask, see https://api.openai.com/v1/chat/completions."""
    return requests.post("https://api.openai.com/v1/chat/completions", json=prompt, headers={"Authorization": key})
