from haystack import Pipeline
from haystack.components.embedders import OpenAITextEmbedder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.utils import Secret

pipeline = Pipeline()
pipeline.add_component("llm", OpenAIChatGenerator(model="gpt-4o", api_key=Secret.from_env_var("OPENAI_API_KEY")))
pipeline.add_component("embedder", OpenAITextEmbedder(model="text-embedding-3-small", organization="org-1"))
mine = OpenAIChatGenerator(
    model="qwen", api_base_url="http://localhost:8000/v1", api_key=Secret.from_token("EMPTY")
)
