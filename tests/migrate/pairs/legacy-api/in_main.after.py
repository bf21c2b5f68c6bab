import argparse
from vllm_connect import OpenAI


def main():

    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://localhost:8000/v1")
    args = parser.parse_args()
    client = OpenAI(api_key="token-abc123", base_url=args.url)
    with open("speech.mp3", "rb") as file:
        print(client.audio.transcriptions.create(model="whisper-1", file=file, language="de").text)


if __name__ == "__main__":
    main()
