import openai


class Model:
    def __init__(self, key=None, base=None):
        self.key, self.base = key, base

    def ask(self, prompt):
        before = openai.api_base
        if self.key is not None:
            openai.api_key = self.key
        if self.base is not None:
            openai.api_base = self.base
        text = openai.Completion.create(model="m", prompt=prompt)["choices"][0]["text"]
        openai.api_base = before
        return text
