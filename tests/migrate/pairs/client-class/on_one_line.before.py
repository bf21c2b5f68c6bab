import os; import openai; client = openai.OpenAI(organization="org")
import openai, sys; print(openai.RateLimitError); other = openai.OpenAI()
if os.getenv("X"): from openai import OpenAI, RateLimitError; third = OpenAI()


def make(): from openai import AsyncOpenAI; return AsyncOpenAI()
