from openai import (  # noqa: F401
    OpenAI,  # the client
    # for the other server
    AzureOpenAI,
    RateLimitError,  # what is met
)
from openai import AsyncOpenAI, APIError  # noqa: E402
from openai import (
    AsyncOpenAI as Later,  # made later
    Client  # an old name
)
