import asyncio

from openai import AsyncOpenAI as Client


class Pool:
    client: Client

    def __init__(self, limit):
        self.client = Client(project="proj-canary", timeout=20)
        self.limit = asyncio.Semaphore(limit)

    async def one(self, text):
        async with self.limit:
            answer = await self.client.completions.create(
                model="qwen",
                prompt=text,
                max_tokens=3,
                extra_body={"guided_regex": r"\w+", "guided_decoding_backend": "outlines"},
            )
        return answer.choices[0].text

    async def all(self, texts):
        answers = []
        for text in texts:
            answers.append(await self.one(text))
        await self.client.close()
        return answers


print(asyncio.run(Pool(2).all(["a", "b"])))
