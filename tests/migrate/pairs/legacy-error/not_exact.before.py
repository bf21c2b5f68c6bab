import openai


def ask(call):
    try:
        return call()
    except openai.error.InvalidAPIType:
        return None
    except openai.error.OpenAIError as e:
        print(e.http_body)
        raise openai.error.RateLimitError("too many") from None
