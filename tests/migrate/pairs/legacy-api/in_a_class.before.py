import logging

import openai

logger = logging.getLogger(__name__)


class Assistant:
    """Answers."""

    def __init__(self, api_key, api_base=None):
        """Keep what it takes."""
        self.model = "gpt-4"
        openai.api_key = api_key
        openai.api_base = api_base
        openai.proxy = "http://proxy:3128"

    def ask(self, messages):
        kwargs = {"engine": self.model, "request_timeout": 30}
        return openai.ChatCompletion.create(messages=messages, **kwargs)["choices"][0]["message"]["content"]
