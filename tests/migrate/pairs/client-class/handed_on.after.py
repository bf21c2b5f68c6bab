from vllm_connect import OpenAI as OpenAI
from openai import Stream as Stream
