from mylibrary import OpenAI
from mylibrary import openai
import langfuse.openai


def make(OpenAI=OpenAI):
    return OpenAI(organization="mine"), openai.OpenAI()
