import dspy
import os

mine = dspy.LM("openai/qwen", api_base="http://localhost:8000/v1", api_key="EMPTY", model_type="chat")
leaky = dspy.LM("openai/qwen", api_base="http://localhost:8000/v1", api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
