import argparse
import os


def main():
    import openai

    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default=os.environ["VLLM_BASE_URL"])
    args = parser.parse_args()
    openai.api_key = "token-abc123"
    openai.api_base = args.url
    names = [model["id"] for model in openai.Model.list()["data"]]
    choices = openai.Completion.create(model=names[0], prompt=["a", "b"], max_tokens=3, api_base=args.url)["choices"]
    for number, choice in enumerate(choices):
        print(number, choice["text"], choice["finish_reason"])


if __name__ == "__main__":
    main()
