import openai
import vllm_connect
from openai import AsyncOpenAI

made = vllm_connect.OpenAI()


def kind(client):
    """The drop-in is an openai.OpenAI; a plain one may come from elsewhere."""
    if isinstance(client, (openai.OpenAI, AsyncOpenAI)):
        return "a client"
    match client:
        case openai.AzureOpenAI():
            return "Azure's"
        case openai.OpenAI(base_url=url):
            return url
