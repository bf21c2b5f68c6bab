import tiktoken
from langchain_text_splitters import TokenTextSplitter
from vllm_connect import OpenAI

client = OpenAI()


def encoder():
    return tiktoken.get_encoding("cl100k_base")


def count(text):
    enc = encoder()
    print(enc.n_vocab)
    return len(enc.encode(text)), TokenTextSplitter.from_tiktoken_encoder(chunk_size=100)
