import vllm_connect

client = vllm_connect.OpenAI(base_url="http://localhost:8000/v1", api_key="EMPTY")
