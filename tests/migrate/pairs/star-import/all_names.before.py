from openai import *

client = OpenAI()
