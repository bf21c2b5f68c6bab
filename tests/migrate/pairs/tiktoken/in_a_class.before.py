from tiktoken import get_encoding
from vllm_connect import AsyncOpenAI, OpenAI


class Chunker:
    def __init__(self, client: OpenAI, size=512):
        self.client = OpenAI()
        self.encoding = get_encoding("o200k_base")
        self.size = size

    def split(self, text):
        tokens = self.encoding.encode(text)
        return [self.encoding.decode(tokens[i : i + self.size]) for i in range(0, len(tokens), self.size)]


async def fits(client: AsyncOpenAI, text):
    return len(get_encoding("cl100k_base").encode(text)) < 4096
