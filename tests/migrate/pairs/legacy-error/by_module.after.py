from openai import OpenAIError
import openai


def ask(call):
    try:
        return call()
    except openai.PermissionDeniedError:
        return None
    except (openai.ConflictError, OpenAIError):
        return None
