"""A program under a tracer: asks stand-in servers the same by openai's clients and by ours, prints what is traced.

`python -m tests.tracers.traced TRACER (before|after)`: the tracer comes before the clients are imported, or after one
of ours has been at work. Prints one line of JSON: by client, the spans in the order of the calls. A tracer patches its
whole process, so each has one of its own; spans leave it by OTLP, for a collector on loopback.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from vllm_connect.simulator import Simulator

Span = dict[str, str]

# What differs from one call to the next, whoever makes it.
CHANGING = ("completion_start_time", "traceRequestId")
MESSAGES = [{"role": "user", "content": "Hello"}]
# The same id for every request gives every answer the same one.
SAME_ID = {"x-request-id": "fixed"}


class Collector:
    """Takes spans in by OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path.endswith("/traces"):
                    collector.take_in(body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take_in(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def expect(self, count: int, *, within: float = 20.0) -> list[Span]:
        """Return the spans in the order in which they began, when so many have come or the time is over."""
        ends = time.monotonic() + within
        while len(self.spans) < count and time.monotonic() < ends:
            time.sleep(0.05)
        return [told(span) for span in sorted(self.spans, key=lambda span: span.start_time_unix_nano)]


def told(span: Any) -> Span:
    """What a span says of its call."""
    attributes = {attribute.key: str(attribute.value) for attribute in span.attributes}
    return {
        "status": str(span.status),
        **{
            name: re.sub(r"created[^0-9]*\d+", "", value)
            for name, value in attributes.items()
            if not name.endswith(CHANGING)
        },
    }


def opentelemetry(collector: Collector) -> None:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{collector.address}/v1/traces")))
    OpenAIInstrumentor().instrument(tracer_provider=provider)


def langfuse(collector: Collector) -> None:
    from langfuse import Langfuse

    exporter = OTLPSpanExporter(f"{collector.address}/v1/traces")
    Langfuse(
        public_key="public",
        secret_key="secret",
        base_url=collector.address,
        span_exporter=exporter,
        flush_interval=0.1,
    )
    importlib.import_module("langfuse.openai")  # patches


def mlflow(collector: Collector) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = collector.address
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{collector.address}/v1/traces"
    os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "100"
    import mlflow.openai

    mlflow.openai.autolog()


def chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(
        model="qwen", messages=MESSAGES, max_tokens=5, extra_headers=SAME_ID, **more
    )


def streamed_chat(client: Any) -> Any:
    return chat(client, stream=True, stream_options={"include_usage": True})


def completion(client: Any) -> Any:
    return client.completions.create(model="qwen", prompt="Once", max_tokens=5, extra_headers=SAME_ID)


def embedding(client: Any) -> Any:
    return client.embeddings.create(model="embedder", input="Hello", extra_headers=SAME_ID)


# Each with the calls that it traces.
TRACERS: dict[str, tuple[Callable[[Collector], None], tuple[Callable[[Any], Any], ...]]] = {
    "opentelemetry": (opentelemetry, (chat, streamed_chat, embedding)),
    "langfuse": (langfuse, (chat, streamed_chat, completion, embedding)),
    "mlflow": (mlflow, (chat, streamed_chat, completion, embedding)),
}


def ask(module: Any, calls: tuple[Callable[[Any], Any], ...], urls: dict[Any, str]) -> None:
    """Make these calls by the blocking client of a package, and by its async one."""
    for call in calls:
        with module.OpenAI(base_url=urls.get(call, urls[None]), api_key="key") as client:
            answer = call(client)
            if hasattr(answer, "__next__"):
                list(answer)

    async def aask() -> None:
        for call in calls:
            async with module.AsyncOpenAI(base_url=urls.get(call, urls[None]), api_key="key") as client:
                answer = await call(client)
                if hasattr(answer, "__anext__"):
                    [_ async for _ in answer]

    asyncio.run(aask())


def main(tracer: str, when: str) -> None:
    install, calls = TRACERS[tracer]
    collector = Collector()
    with (
        Simulator(models=("qwen",)) as generating,
        Simulator(kind="pooling", models=("embedder",), dimensions=8) as pooling,
    ):
        urls = {None: generating.url, embedding: pooling.url}
        if when == "before":
            install(collector)
        import openai

        import vllm_connect

        if when == "after":
            ask(vllm_connect, calls, urls)
            install(collector)
        ask(openai, calls, urls)
        ask(vllm_connect, calls, urls)
    each = 2 * len(calls)
    spans = collector.expect(2 * each)
    print(json.dumps({"expected": each, "openai": spans[:each], "vllm_connect": spans[each:]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
