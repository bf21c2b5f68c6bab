import time

import openai
import openai.error

CALLS = 0


def ask(messages):
    while True:
        try:
            return openai.ChatCompletion.create(model="gpt-4", messages=messages)["choices"][0]["message"]["content"]
        except openai.error.APIError as e:
            # Wait, and try again.
            print(f"API error: {e}, {e.http_status}")
        except openai.error.APIConnectionError:
            print("no connection")
        except openai.error.RateLimitError as e:
            print(e.user_message, e.json_body, e.http_status, e.headers)
            time.sleep(1)
        except (openai.error.ServiceUnavailableError, openai.error.Timeout):
            time.sleep(10)
        except openai.error.InvalidRequestError as e:
            raise ValueError(e.user_message) from e
        except Exception:
            raise
