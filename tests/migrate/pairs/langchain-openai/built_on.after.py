from langchain_openai import AzureChatOpenAI, ChatOpenAI
import os


class Mine(ChatOpenAI):
    pass


class Theirs(AzureChatOpenAI):
    pass


def make():
    return Mine(), ChatOpenAI(model="qwen", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", stream_usage=True)
