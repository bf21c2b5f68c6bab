import llama_index.llms.openai as openai_llms

llm = openai_llms.OpenAI(model="qwen")
