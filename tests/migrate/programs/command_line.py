import argparse
import os
import sys

import openai


def parse(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="qwen")
    parser.add_argument("--max-tokens", type=int, default=8)
    parser.add_argument("prompt", nargs="?", default="Say hello.")
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    client = openai.OpenAI(
        api_key=os.environ.get("OPENAI_API_KEY"),
        base_url=os.environ.get("LLM_URL") or "https://api.openai.com/v1",
        organization=os.environ.get("OPENAI_ORG_ID"),
        max_retries=1,
    )
    try:
        stream = client.chat.completions.create(
            model=options.model,
            messages=[{"role": "user", "content": options.prompt}],
            max_tokens=options.max_tokens,
            stream=True,
            stream_options={"include_usage": True},
            service_tier="flex",
        )
        for chunk in stream:
            if chunk.choices:
                delta = chunk.choices[0].delta
                if getattr(delta, "reasoning_content", None):
                    print(delta.reasoning_content, end="")
                print(delta.content or "", end="", flush=True)
            elif chunk.usage:
                print("\ntokens:", chunk.usage.completion_tokens)
    except openai.RateLimitError:
        print("slow down", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
