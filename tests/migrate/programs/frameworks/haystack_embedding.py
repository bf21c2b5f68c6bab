from haystack import Document
from haystack.components.embedders import AzureOpenAITextEmbedder, OpenAIDocumentEmbedder

documents = OpenAIDocumentEmbedder(model="text-embedding-3-small").run([Document(content="vLLM serves models.")])
assert documents["documents"][0].embedding
text = AzureOpenAITextEmbedder(azure_endpoint="https://mine.openai.azure.com", azure_deployment="text-embedding-3-small")
assert text.run("What serves models?")["embedding"]
