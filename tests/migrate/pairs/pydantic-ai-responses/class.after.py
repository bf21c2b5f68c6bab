from pydantic_ai.models.openai import OpenAIResponsesModel

model = OpenAIResponsesModel("qwen", provider="vllm")
