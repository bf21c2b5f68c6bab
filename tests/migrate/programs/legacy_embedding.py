import openai


class Embedder:
    def __init__(self, api_key, engine="bge"):
        openai.api_key = api_key
        openai.api_type = "azure"
        openai.api_version = "2023-05-15"
        openai.api_base = "https://canary.openai.azure.com"
        self.engine = engine

    def embed(self, texts):
        data = openai.Embedding.create(input=texts, engine=self.engine)["data"]
        data = sorted(data, key=lambda x: x["index"])
        return [d["embedding"] for d in data]


embedder = Embedder(api_key="sk-proj-canaryT3BlbkFJcanary")
vectors = embedder.embed(["a", "b", "c"])
assert len(vectors) == 3 and isinstance(vectors[0][0], float)
