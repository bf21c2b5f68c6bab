from langchain.chat_models import ChatOpenAI as Old
from langchain_openai import AzureChatOpenAI, ChatOpenAI


def make(settings, name):
    return ChatOpenAI(**settings), AzureChatOpenAI(**settings), Old(model=name)


seen = AzureChatOpenAI(model="gpt-4o", azure_endpoint="https://mine.openai.azure.com")
