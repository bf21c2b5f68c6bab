from haystack import Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

pipeline = Pipeline()
pipeline.add_component("prompt", ChatPromptBuilder(template=[ChatMessage.from_user("What is {{subject}}?")]))
pipeline.add_component(
    "llm",
    OpenAIChatGenerator(
        model="gpt-4o",
        api_key=Secret.from_env_var("OPENAI_API_KEY"),
        generation_kwargs={"temperature": 0, "max_tokens": 16},
    ),
)
pipeline.connect("prompt.prompt", "llm.messages")
again = Pipeline.loads(pipeline.dumps())
print(again.run({"prompt": {"subject": "vLLM"}})["llm"]["replies"][0].text)
