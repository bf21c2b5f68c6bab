from langchain.chat_models import ChatOpenAI as Old
from langchain_openai import AzureChatOpenAI, ChatOpenAI


def make(settings, name):
    return ChatOpenAI(**settings), AzureChatOpenAI(**settings), Old(model=name)


seen = AzureChatOpenAI(model="qwen", azure_endpoint="https://mine.openai.azure.com")
