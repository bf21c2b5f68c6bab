import dspy

mine = dspy.LM("openai/qwen", api_base="http://localhost:8000/v1", api_key="EMPTY", model_type="chat")
leaky = dspy.LM("openai/qwen", api_base="http://localhost:8000/v1", api_key="")
