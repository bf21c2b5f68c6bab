import openai
from openai.error import InvalidRequestError, RateLimitError as TooMany, Timeout
from tenacity import retry, retry_if_exception_type


@retry(retry=retry_if_exception_type((TooMany, Timeout)))
def ask(prompt):
    try:
        return openai.Completion.create(model="x", prompt=prompt)
    except InvalidRequestError:
        return None
    except (ValueError, InvalidRequestError, TooMany):
        return None


def is_ours(error):
    return isinstance(error, InvalidRequestError)
