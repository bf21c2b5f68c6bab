from openai import OpenAI

client = OpenAI(
    organization="org-1",
    project="proj-1",
    max_retries=3,
)
other = OpenAI(max_retries=1, organization="org-2")
