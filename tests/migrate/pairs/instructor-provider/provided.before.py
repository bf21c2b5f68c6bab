import instructor

client = instructor.from_provider("openai/gpt-4o")
later = instructor.from_provider("openai/gpt-4o-mini", async_client=True, mode=instructor.Mode.JSON)
other = instructor.from_provider("anthropic/claude-sonnet-4-5")
