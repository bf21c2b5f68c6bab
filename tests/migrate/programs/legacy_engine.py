import json
import os

import openai

openai.api_type = "azure"
openai.api_base = os.getenv("AZURE_OPENAI_ENDPOINT")
openai.api_version = "2023-07-01-preview"
openai.api_key = os.getenv("AZURE_OPENAI_API_KEY")

response = openai.ChatCompletion.create(
    engine="qwen",
    messages=[{"role": "user", "content": "Say hello."}],
    headers={"x-team": "a"},
    max_tokens=4,
)
print(json.dumps(response)[:20], response.get("usage", {}).get("completion_tokens", 0))
