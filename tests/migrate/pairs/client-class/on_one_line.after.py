import os; import openai; import vllm_connect; client = vllm_connect.OpenAI()
import openai, sys; print(openai.RateLimitError); other = vllm_connect.OpenAI()
if os.getenv("X"): from openai import RateLimitError; from vllm_connect import OpenAI; third = OpenAI()


def make(): from vllm_connect import AsyncOpenAI; return AsyncOpenAI()
