import os

from vllm_connect import OpenAI

os.environ["OPENAI_API_KEY"] = input("Key: ")
if not os.environ["OPENAI_API_KEY"]:
    raise SystemExit("set OPENAI_API_KEY")


def main():
    return OpenAI()
