from vllm_connect import OpenAI

openai_client = OpenAI()

client = None


def create(**kwargs):
    return openai_client.chat.completions.create(**kwargs)


def first():
    return openai_client.models.retrieve(model="gpt-4").id
