from litellm import completion

messages = [{"role": "user", "content": "Hello"}]
MODEL = "claude-sonnet-4-5"

completion(model="anthropic/claude-sonnet-4-5", messages=messages)
completion(model=MODEL, messages=messages)
completion(model="hosted_vllm/qwen", messages=messages, api_base="http://localhost:8000/v1")
completion(model="openai/gpt-oss", messages=messages, api_base="http://localhost:8000/v1", api_key="EMPTY")
