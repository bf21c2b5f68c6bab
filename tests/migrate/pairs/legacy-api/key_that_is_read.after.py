import os

import openai
import vllm_connect

openai.api_key = os.environ.get("OPENAI_API_KEY")
client = vllm_connect.OpenAI()
if not openai.api_key:
    raise SystemExit("no key")

print(client.completions.create(model="davinci", prompt="Once", max_tokens=5).choices[0].text)
