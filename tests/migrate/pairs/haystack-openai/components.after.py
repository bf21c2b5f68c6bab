from haystack import Pipeline
from haystack.components.embedders import OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.utils import Secret
import os

pipeline = Pipeline()
pipeline.add_component("llm", OpenAIChatGenerator(model="qwen", api_key=Secret.from_env_var("VLLM_API_KEY"), api_base_url=os.environ["VLLM_BASE_URL"]))
pipeline.add_component("embedder", OpenAITextEmbedder(model="bge", api_base_url=os.environ["VLLM_BASE_URL"], api_key=Secret.from_env_var("VLLM_API_KEY")))
mine = OpenAIChatGenerator(
    model="qwen", api_base_url="http://localhost:8000/v1", api_key=Secret.from_token("EMPTY")
)
