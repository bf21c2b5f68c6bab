#!/usr/bin/env bash
set -e
OPENAI_API_BASE=http://localhost:8000/v1; export OPENAI_API_BASE
if true; then
  export OPENAI_API_BASE="http://localhost:8000/v1" # here
fi
docker run -e OPENAI_API_BASE=http://host:8000/v1 app
echo "$OPENAI_API_BASE"
