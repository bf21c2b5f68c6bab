from vllm_connect import OpenAI
from openai import BadRequestError, NotFoundError, RateLimitError as TooMany, APITimeoutError
from tenacity import retry, retry_if_exception_type

client = OpenAI()


@retry(retry=retry_if_exception_type((TooMany, APITimeoutError)))
def ask(prompt):
    try:
        return client.completions.create(model="x", prompt=prompt)
    except (BadRequestError, NotFoundError):
        return None
    except (ValueError, BadRequestError, NotFoundError, TooMany):
        return None


def is_ours(error):
    return isinstance(error, (BadRequestError, NotFoundError))
