import openai
from dotenv import load_dotenv

load_dotenv()
client = "taken"


class Talk:
    def ask(self, question):
        """Ask."""
        return openai.chat.completions.create(messages=[{"role": "user", "content": question}])

    def names(self):
        try:
            return [model.id for model in openai.models.list()]
        except openai.APIError:
            return []
