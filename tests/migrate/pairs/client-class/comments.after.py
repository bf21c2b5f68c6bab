from openai import (  # noqa: F401
    RateLimitError,  # what is met
)
from vllm_connect import (  # noqa: F401
    OpenAI,  # the client
)
from openai import APIError  # noqa: E402
from vllm_connect import AsyncOpenAI  # noqa: E402
from vllm_connect import (
    AsyncOpenAI as Later,  # made later
    OpenAI  # an old name
)
