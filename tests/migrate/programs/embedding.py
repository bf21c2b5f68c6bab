from openai import OpenAI as Client

with Client(max_retries=1) as client:
    vectors = client.embeddings.create(model="bge", input=["a", "b"])
    assert len(vectors.data) == 2
