from openai import OpenAI

URL = "https://api.openai.com/v1"
client = OpenAI(base_url="https://api.openai.com/v1", max_retries=5)
named = OpenAI(base_url=URL)
eu = OpenAI(base_url="https://eu.api.openai.com/v1")
mine = OpenAI(base_url="http://localhost:8000/v1")
looks_alike = OpenAI(base_url="https://api.openai.com.example.org/v1")
