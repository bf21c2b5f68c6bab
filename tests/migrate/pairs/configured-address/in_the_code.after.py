from vllm_connect import OpenAI


class Settings:
    base_url: str = "https://api.openai.com/v1"
    key = "sk-proj-T3BlbkFJabcdefghijklmnop"
    docs = "See https://api.openai.com/v1 for more."


def make(base_url="https://api.openai.com/v1/"):
    return OpenAI(base_url=base_url)
