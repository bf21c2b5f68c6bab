from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

a = OpenAIChatModel("llama3", provider=OpenAIProvider(base_url="http://localhost:11434/v1", api_key="ollama"))
b = OpenAIChatModel("deepseek-chat", provider="deepseek")
