import instructor
import os

client = instructor.from_provider("openai/qwen", base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", mode=instructor.Mode.JSON_SCHEMA)
later = instructor.from_provider("openai/qwen-small", async_client=True, mode=instructor.Mode.JSON, base_url=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
other = instructor.from_provider("anthropic/claude-sonnet-4-5")
