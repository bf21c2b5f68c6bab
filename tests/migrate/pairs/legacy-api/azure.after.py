
from vllm_connect import OpenAI

# https://NAME.openai.azure.com
client = OpenAI()

response = client.chat.completions.create(
    model="gpt-35-turbo",  # the deployment
    messages=[{"role": "user", "content": "Does Azure OpenAI support customer managed keys?"}],
    timeout=30,
)
print(response)
print(response.choices[0].message.content)
