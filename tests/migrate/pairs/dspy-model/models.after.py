import os

import dspy

lm = dspy.LM("hosted_vllm/qwen-small", api_key=os.environ.get("VLLM_API_KEY") or "EMPTY", temperature=0, api_base=os.environ["VLLM_BASE_URL"])
dspy.configure(lm=lm)
embedder = dspy.Embedder("hosted_vllm/bge", batch_size=100, api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
other = dspy.LM("anthropic/claude-sonnet-4-5")
MODEL = "hosted_vllm/qwen"
named = dspy.LM(MODEL, api_base=os.environ["VLLM_BASE_URL"], api_key=os.environ.get("VLLM_API_KEY") or "EMPTY")
