from openai import OpenAI as OpenAI
from openai import Stream as Stream
