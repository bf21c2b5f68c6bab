from typing import List

import openai
from dotenv import load_dotenv
from tenacity import retry, stop_after_attempt, wait_random_exponential

load_dotenv()


@retry(wait=wait_random_exponential(min=1, max=20), stop=stop_after_attempt(6))
def get_embeddings(texts: List[str], engine="text-embedding-ada-002") -> List[List[float]]:
    assert len(texts) <= 2048
    data = openai.Embedding.create(input=texts, engine=engine).data
    data = sorted(data, key=lambda x: x["index"])
    return [d["embedding"] for d in data]


def models():
    return [model["id"] for model in openai.Model.list()["data"]]
