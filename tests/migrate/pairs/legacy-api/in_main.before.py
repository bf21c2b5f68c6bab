import argparse


def main():
    import openai

    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default="http://localhost:8000/v1")
    args = parser.parse_args()
    openai.api_key = "token-abc123"
    openai.api_base = args.url
    with open("speech.mp3", "rb") as file:
        print(openai.Audio.transcribe("whisper-1", file, language="de")["text"])


if __name__ == "__main__":
    main()
