from vllm_connect import AsyncOpenAI, OpenAI


class Chunker:
    def __init__(self, client: OpenAI, size=512):
        self.client = OpenAI()
        self.size = size

    def split(self, text):
        tokens = self.client.server.tokenize(text, add_special_tokens=False).tokens
        return [self.client.server.detokenize(tokens[i : i + self.size]) for i in range(0, len(tokens), self.size)]


async def fits(client: AsyncOpenAI, text):
    return (await client.server.tokenize(text, add_special_tokens=False)).count < 4096
