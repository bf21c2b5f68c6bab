from llama_index.core import Settings
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI
from pydantic import BaseModel

Settings.llm = OpenAI(model="gpt-4o", temperature=0.2, max_tokens=32)


class Answer(BaseModel):
    text: str


print(Settings.llm.complete("What is vLLM?"))
print("".join(part.delta for part in Settings.llm.stream_chat([ChatMessage(role="user", content="Hello")])))
structured = OpenAI("gpt-4o-mini").as_structured_llm(Answer)
assert isinstance(structured.chat([ChatMessage(role="user", content="What is vLLM?")]).raw, Answer)
