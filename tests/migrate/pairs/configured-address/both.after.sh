#!/bin/sh
export VLLM_BASE_URL=http://localhost:8000/v1
export OPENAI_API_BASE=https://api.openai.com/v1  # for LangChain
