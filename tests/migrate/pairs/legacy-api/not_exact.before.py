import openai
from openai.embeddings_utils import cosine_similarity
from unittest.mock import patch


def configure(settings):
    openai.api_base = settings["url"]
    openai.log = "debug"


with patch("openai.ChatCompletion.create") as create:
    resource = openai.ChatCompletion
    print(cosine_similarity([1], [1]), openai.api_base)
