from vllm_connect import OpenAI

client = OpenAI()
answer = client.chat.completions.create(model="qwen", messages=[{"role": "user", "content": "Hello"}])
