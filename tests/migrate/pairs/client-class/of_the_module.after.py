import openai
import vllm_connect


class Talk:
    def __init__(self, client: "openai.OpenAI | None" = None):
        self.client = client or vllm_connect.OpenAI(timeout=30)
        self.later = vllm_connect.AsyncOpenAI()

    def names(self):
        try:
            return self.client.models.list()
        except openai.APIError:
            return []
