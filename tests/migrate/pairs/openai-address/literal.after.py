from vllm_connect import OpenAI

URL = "https://api.openai.com/v1"
client = OpenAI(max_retries=5)
named = OpenAI()
eu = OpenAI()
mine = OpenAI(base_url="http://localhost:8000/v1")
looks_alike = OpenAI(base_url="https://api.openai.com.example.org/v1")
