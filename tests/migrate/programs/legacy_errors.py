import time

import openai
from openai.error import InvalidRequestError, RateLimitError, ServiceUnavailableError


def ask(prompt, model="qwen", tries=3):
    for number in range(tries):
        try:
            response = openai.Completion.create(model=model, prompt=prompt, max_tokens=4)
            return response["choices"][0]["text"].strip()
        except openai.error.APIError as e:
            print("server", e.http_status)
        except openai.error.Timeout:
            time.sleep(1)
        except (RateLimitError, ServiceUnavailableError):
            time.sleep(2**number)
        except InvalidRequestError as e:
            print("refused", e.http_status, bool(e.user_message), bool(e.json_body))
            return None


assert ask("Once")
assert ask("Once", model="text-davinci-003") is None
