from openai import OpenAI


def make(OpenAI):
    return OpenAI(organization="not OpenAI's")


real = OpenAI(organization="of OpenAI")
