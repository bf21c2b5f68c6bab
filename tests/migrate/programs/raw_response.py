from openai import OpenAI

with OpenAI(default_headers={"X-Team": "search"}) as client:
    raw = client.with_options(max_retries=0).chat.completions.with_raw_response.create(
        model="qwen",
        messages=[{"role": "user", "content": "Say hello."}],
        **{"prompt_cache_key": "a", "temperature": 0},
    )
    print(raw.headers.get("content-type"), raw.parse().choices[0].message.content)
