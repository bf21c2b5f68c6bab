from openai import OpenAI


def make(key, settings):
    return OpenAI(api_key=key), OpenAI(api_key=settings.openai_api_key), OpenAI(api_key=None)
