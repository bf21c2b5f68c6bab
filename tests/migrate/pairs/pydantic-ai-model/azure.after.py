import os

from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.vllm import VLLMProvider

model = OpenAIChatModel(
    "qwen",
    provider=VLLMProvider(
        api_key=os.environ.get("VLLM_API_KEY") or "EMPTY",
        base_url=os.environ["VLLM_BASE_URL"],
    ),
)
