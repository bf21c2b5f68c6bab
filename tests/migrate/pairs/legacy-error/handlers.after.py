import time

from vllm_connect import OpenAI
import openai

client = OpenAI()

CALLS = 0


def ask(messages):
    while True:
        try:
            return client.chat.completions.create(model="gpt-4", messages=messages).choices[0].message.content
        except openai.RateLimitError as e:
            print(e.message, e.body, e.status_code, e.response.headers)
            time.sleep(1)
        except (openai.InternalServerError, openai.APITimeoutError):
            time.sleep(10)
        except (openai.BadRequestError, openai.NotFoundError) as e:
            raise ValueError(e.message) from e
        except openai.APIConnectionError:
            print("no connection")
        except openai.APIError as e:
            # Wait, and try again.
            print(f"API error: {e}, {getattr(e, 'status_code', None)}")
        except Exception:
            raise
