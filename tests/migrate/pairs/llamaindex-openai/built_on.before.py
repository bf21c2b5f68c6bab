from llama_index.llms.openai import OpenAI


class Mine(OpenAI):
    pass


def make():
    return Mine(), OpenAI(model="qwen")
