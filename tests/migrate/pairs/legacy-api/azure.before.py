import os

import openai

openai.api_type = "azure"
openai.api_base = os.getenv("AZURE_OPENAI_ENDPOINT")  # https://NAME.openai.azure.com
openai.api_version = "2023-05-15"
openai.api_key = os.getenv("AZURE_OPENAI_KEY")

response = openai.ChatCompletion.create(
    engine="gpt-35-turbo",  # the deployment
    messages=[{"role": "user", "content": "Does Azure OpenAI support customer managed keys?"}],
    request_timeout=(5, 30),
)
print(response)
print(response["choices"][0]["message"]["content"])
