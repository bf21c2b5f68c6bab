from openai import error, OpenAIError


def ask(call):
    try:
        return call()
    except error.PermissionError:
        return None
    except (error.TryAgain, OpenAIError):
        return None
