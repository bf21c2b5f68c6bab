import os

from litellm import Router

router = Router(
    model_list=[
        {
            "model_name": "chat",
            "litellm_params": {"model": "openai/gpt-4o", "api_key": os.getenv("OPENAI_API_KEY"), "rpm": 100},
        },
        {
            "model_name": "other",
            "litellm_params": {
                "model": "azure/chat",
                "api_base": os.getenv("AZURE_API_BASE"),
                "api_version": "2024-06-01",
            },
        },
    ],
)
