import os

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

llm = ChatOpenAI(model="gpt-4o", temperature=0, max_tokens=32, api_key=os.environ["OPENAI_API_KEY"])
prompt = ChatPromptTemplate.from_messages([("system", "Be short."), ("human", "{question}")])
chain = prompt | llm | StrOutputParser()
print(chain.invoke({"question": "What is vLLM?"}))

usage = None
for chunk in llm.stream("What is vLLM?"):
    usage = chunk.usage_metadata or usage
assert usage["output_tokens"] > 0
