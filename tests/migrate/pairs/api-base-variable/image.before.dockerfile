FROM python:3.12 AS base
# ENV OPENAI_API_BASE=http://commented:8000/v1
ENV OPENAI_API_BASE=http://vllm:8000/v1
FROM base AS several
ENV LOG=debug OPENAI_API_BASE="http://vllm:8000/v1" \
    # in between
    LEVEL=2
FROM base AS old
ARG OPENAI_API_BASE
ENV LOG all of this
RUN OPENAI_API_BASE=http://vllm:8000/v1 pytest
