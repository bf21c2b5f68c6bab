import openai


class Talk:
    def __init__(self, client: "openai.OpenAI | None" = None):
        self.client = client or openai.OpenAI(timeout=30)
        self.later = openai.AsyncOpenAI()

    def names(self):
        try:
            return self.client.models.list()
        except openai.APIError:
            return []
