"""gpt-4o"""

print("gpt-4o is a model", f"gpt-4o", b"gpt-4o", "gpt-oss-20b", "gpt-" "4o")
