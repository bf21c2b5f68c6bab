import litellm

vectors = litellm.embedding(model="text-embedding-3-small", input=["a", "b"])
assert len(vectors.data) == 2
