from litellm import completion

completion(model="hosted_vllm/qwen", messages=[])
