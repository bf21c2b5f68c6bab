from haystack.components.generators.chat import OpenAIChatGenerator
import os
from haystack.utils import Secret

llm = OpenAIChatGenerator(
    model="qwen",
    generation_kwargs={"max_tokens": 64},
    api_base_url=os.environ["VLLM_BASE_URL"],
    api_key=Secret.from_env_var("VLLM_API_KEY"),
)
