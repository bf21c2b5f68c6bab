#!/bin/sh
curl https://api.openai.com/v1/chat/completions \
  -H "Authorization: Bearer $OPENAI_API_KEY" \
  -d '{"model": "gpt-4o", "messages": []}'
# curl https://api.openai.com/v1/models
curl http://localhost:8000/v1/models -H "Authorization: Bearer ${OPENAI_API_KEY}"
curl http://localhost:8000/v1/models -H "Authorization: Bearer ${VLLM_API_KEY}"
