def client():
    import os, vllm_connect

    return vllm_connect.OpenAI(max_retries=int(os.environ["RETRIES"]))
