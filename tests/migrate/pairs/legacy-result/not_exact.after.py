import openai
import vllm_connect
import requests

client = vllm_connect.OpenAI()


def text(response: openai.openai_object.OpenAIObject):
    return response["choices"][0]["message"]["content"]


def other(url):
    return requests.post(url).json()["choices"][0]["message"]["content"]


def main():
    response = client.completions.create(model="m", prompt="Once")
    for name, value in response.items():
        print(name, value)
    print(response.usage.get("prompt_tokens", 7), response["warning"])
    return response.usage.total_tokens or 0
