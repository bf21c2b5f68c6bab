import openai as ai
from vllm_connect import AsyncOpenAI, OpenAI


class Run:
    def __init__(self):
        self.client = OpenAI()

    def batch(self, path):
        with open(path, "rb") as file:
            stored = self.client.files.create(file=file, purpose="batch")
        return self.client.batches.create(
            input_file_id=stored.id, endpoint="/v1/chat/completions", completion_window="24h"
        )

    async def assistant(self, later: AsyncOpenAI):
        assistant = await later.beta.assistants.create(model="m", tools=[{"type": "code_interpreter"}])
        thread = await later.beta.threads.create()
        await later.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)

    def others(self):
        jobs = self.client.fine_tuning.jobs
        jobs.create(model="m", training_file="f")
        speech = self.client.audio.speech.with_streaming_response.create(model="m", voice="v", input="Hello.")
        return speech, self.client.with_options(timeout=3).moderations.create(input="Hello.")


def picture(prompt, client):
    ai.Image.create(prompt=prompt, n=1)
    return client.images.generate(prompt=prompt)
