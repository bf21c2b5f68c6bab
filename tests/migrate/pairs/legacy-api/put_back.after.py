import openai
import vllm_connect

client = vllm_connect.OpenAI()


class Model:
    def __init__(self, key=None, base=None):
        self.key, self.base = key, base

    def ask(self, prompt):
        before = openai.api_base
        if self.key is not None:
            openai.api_key = self.key
        if self.base is not None:
            openai.api_base = self.base
        text = client.completions.create(model="m", prompt=prompt).choices[0].text
        openai.api_base = before
        return text
