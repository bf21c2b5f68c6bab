import openai
import vllm_connect
from dotenv import load_dotenv

load_dotenv()
client = "taken"
vllm_client = vllm_connect.OpenAI()


class Talk:
    def ask(self, question):
        """Ask."""
        return vllm_client.chat.completions.create(messages=[{"role": "user", "content": question}])

    def names(self):
        try:
            return [model.id for model in vllm_client.models.list()]
        except openai.APIError:
            return []
