import os

import litellm

litellm.drop_params = True
litellm.api_key = os.environ["OPENAI_API_KEY"]
