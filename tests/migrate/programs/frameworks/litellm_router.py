import os

from litellm import Router

router = Router(
    model_list=[
        {
            "model_name": "chat",
            "litellm_params": {
                "model": "azure/gpt-4o",
                "api_base": os.getenv("AZURE_OPENAI_ENDPOINT"),
                "api_key": os.getenv("AZURE_OPENAI_API_KEY"),
                "api_version": "2024-06-01",
            },
        },
    ],
    num_retries=0,
)
print(router.completion(model="chat", messages=[{"role": "user", "content": "Hello"}], seed=7).choices[0].message.content)
