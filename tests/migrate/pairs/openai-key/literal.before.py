from openai import OpenAI

a = OpenAI(api_key="sk-proj-0123456789abcdef")
b = OpenAI(api_key="0123456789abcdef")
c = OpenAI(api_key="EMPTY")
d = OpenAI(api_key="a-key-of-mine", base_url="http://localhost:8000/v1")
