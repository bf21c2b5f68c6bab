from vllm_connect import OpenAI

a = OpenAI()
b = OpenAI()
c = OpenAI(api_key="EMPTY")
d = OpenAI(api_key="a-key-of-mine", base_url="http://localhost:8000/v1")
