import os

from litellm import Router

router = Router(
    model_list=[
        {
            "model_name": "chat",
            "litellm_params": {"model": "hosted_vllm/qwen", "rpm": 100, "api_base": os.environ["VLLM_BASE_URL"], "api_key": os.environ.get("VLLM_API_KEY") or "EMPTY"},
        },
        {
            "model_name": "other",
            "litellm_params": {
                "model": "hosted_vllm/chat",
                "api_base": os.environ["VLLM_BASE_URL"],
                "api_key": os.environ.get("VLLM_API_KEY") or "EMPTY",
            },
        },
    ],
)
