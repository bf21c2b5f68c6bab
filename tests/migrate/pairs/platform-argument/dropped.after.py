from vllm_connect import OpenAI

client = OpenAI(
    max_retries=3,
)
other = OpenAI(max_retries=1)
