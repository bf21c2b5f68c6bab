import os

import dspy

lm = dspy.LM("openai/gpt-4o-mini", api_key=os.environ["OPENAI_API_KEY"], temperature=0)
dspy.configure(lm=lm)
embedder = dspy.Embedder("openai/text-embedding-3-small", batch_size=100)
other = dspy.LM("anthropic/claude-sonnet-4-5")
MODEL = "openai/gpt-4o"
named = dspy.LM(MODEL)
