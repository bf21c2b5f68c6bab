import openai
import requests


def text(response: openai.openai_object.OpenAIObject):
    return response["choices"][0]["message"]["content"]


def other(url):
    return requests.post(url).json()["choices"][0]["message"]["content"]


def main():
    response = openai.Completion.create(model="m", prompt="Once")
    for name, value in response.items():
        print(name, value)
    print(response["usage"].get("prompt_tokens", 7), response["warning"])
    return response.get("usage", {}).get("total_tokens", 0)
