import openai as oai

client = oai.OpenAI(base_url="http://localhost:8000/v1", api_key="EMPTY")
