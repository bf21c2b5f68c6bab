import faiss
from pgvector.sqlalchemy import Vector
from pinecone import Pinecone
from qdrant_client.models import Distance, VectorParams
from sqlalchemy.orm import mapped_column

EMBEDDING_DIM = 1536
CONFIG = {"dimension": 3072, "chunk_size": 1536}
DIMENSIONS = {"text-embedding-3-small": 1536}


class Document:
    embedding = mapped_column(Vector(1536))


def make(client, hidden_size=1536, vector_size: int = 3072):
    index = faiss.IndexFlatL2(1536)
    Pinecone().create_index(name="documents", dimension=1536, metric="cosine")
    client.create_collection("documents", vectors_config=VectorParams(size=1536, distance=Distance.COSINE))
    client.execute("CREATE TABLE items (id bigserial PRIMARY KEY, embedding vector(1536))")
    return index


def check(embedding, text):
    assert len(embedding) == 1536
    return len(text) > 1536
