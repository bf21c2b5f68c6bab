from vllm_connect import OpenAI

MODELS = ("gpt-3.5-turbo", "o1", "chatgpt-4o-latest", "text-davinci-003", "openai/gpt-oss-20b", "gpt-oss-120b")
SMALL = "gpt-3.5-turbo"
LEVEL = "o1"


def ask(client: OpenAI, engine="o3-mini"):
    client.embeddings.create(model="text-embedding-ada-002", input="a")
    return client.completions.create(model="davinci", prompt="b")
