from vllm_connect import AsyncOpenAI, OpenAI

client = OpenAI()


class Talk:
    later = AsyncOpenAI()

    def __init__(self):
        self.client = OpenAI()


if __name__ == "__main__":
    main = OpenAI()
