import openai

openai.api_key = "of a user"
openai.log = "debug"
