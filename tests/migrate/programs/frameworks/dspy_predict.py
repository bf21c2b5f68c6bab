import os

import dspy

lm = dspy.LM("openai/gpt-4o-mini", api_key=os.environ["OPENAI_API_KEY"], temperature=0.3, max_tokens=64, cache=False, num_retries=0)
dspy.configure(lm=lm)
print(lm("What is vLLM?"))
