import logging

import openai
import vllm_connect

client = vllm_connect.OpenAI()

logger = logging.getLogger(__name__)


class Assistant:
    """Answers."""

    def __init__(self, api_key, api_base=None):
        """Keep what it takes."""
        global client
        self.model = "gpt-4"
        client = vllm_connect.OpenAI(api_key=api_key, base_url=api_base)
        openai.proxy = "http://proxy:3128"

    def ask(self, messages):
        kwargs = {"model": self.model, "timeout": 30}
        return client.chat.completions.create(messages=messages, **kwargs).choices[0].message.content
