#!/bin/sh
export OPENAI_BASE_URL=https://api.openai.com/v1
export OPENAI_API_BASE=https://api.openai.com/v1  # for LangChain
