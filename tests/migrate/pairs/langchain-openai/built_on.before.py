from langchain_openai import AzureChatOpenAI, ChatOpenAI


class Mine(ChatOpenAI):
    pass


class Theirs(AzureChatOpenAI):
    pass


def make():
    return Mine(), ChatOpenAI(model="qwen")
