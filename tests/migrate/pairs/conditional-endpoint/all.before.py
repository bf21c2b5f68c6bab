from vllm_connect import OpenAI


def main():
    client = OpenAI()
    with open("speech.mp3", "rb") as file:
        print(client.audio.transcriptions.create(model="whisper", file=file).text)
    answer = client.responses.create(input="Hello.", background=True)
    print(client.responses.retrieve(answer.id).output_text)
