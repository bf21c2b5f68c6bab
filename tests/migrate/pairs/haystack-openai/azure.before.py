from haystack.components.generators.chat import AzureOpenAIChatGenerator

llm = AzureOpenAIChatGenerator(
    azure_endpoint="https://mine.openai.azure.com",
    azure_deployment="gpt-4o",
    generation_kwargs={"max_tokens": 64},
)
