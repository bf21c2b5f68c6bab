"""vLLM's routes (0.32): what each is for, and which option, variable or kind of model brings it."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["MISSING_API", "ROUTES", "Kind", "Route", "Service"]

Kind = Literal["generate", "pooling"]
Service = Literal[
    "abort_requests",
    "chat",
    "classify",
    "completions",
    "detokenize",
    "embeddings",
    "lora",
    "messages",
    "pooling",
    "rerank",
    "responses",
    "score",
    "sleep",
    "tokenize",
    "transcriptions",
    "translations",
]


class Route(NamedTuple):
    """One path below the server's root, and what brings it, as the end of "vLLM serves it ...".

    `service` names the kind of request, for the routes that a server is asked about: each takes POST and nothing
    else. `kind` is the one kind of server that has it.
    """

    path: str
    brought_by: str
    service: Service | None = None
    kind: Kind | None = None


ALWAYS = "always"
GENERATES = "with a model that generates text (--runner generate)"
EMBEDS = "with an embedding model (--runner pooling; --convert embed makes one of a text model)"
SCORES = "with an embedding, late-interaction or one-label cross-encoder model (--runner pooling)"
CLASSIFIES = "with a classification model (--runner pooling; --convert classify makes one of a text model)"
TRANSCRIBES = "with a speech-to-text model, such as Whisper"
LORA = "with --enable-lora and the variable VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
DEVELOPMENT = "with the variable VLLM_SERVER_DEV_MODE=1"
SLEEPS = "with --enable-sleep-mode and the variable VLLM_SERVER_DEV_MODE=1"
SCALE_OUT = "with --enable-scale-out"
ABORTS = f"{DEVELOPMENT} or with --tokens-only"
PROFILES = "with --profiler-config"
DOCUMENTS = "unless it was started with --disable-fastapi-docs"

ROUTES = (
    Route("/v1/chat/completions", GENERATES, "chat", "generate"),
    Route("/v1/completions", GENERATES, "completions", "generate"),
    Route("/v1/responses", GENERATES, "responses", "generate"),
    Route("/v1/messages", GENERATES, "messages", "generate"),
    Route("/v1/audio/transcriptions", TRANSCRIBES, "transcriptions", "generate"),
    Route("/v1/audio/translations", TRANSCRIBES, "translations", "generate"),
    Route("/v1/embeddings", EMBEDS, "embeddings", "pooling"),
    Route("/pooling", "with any pooling model (--runner pooling)", "pooling", "pooling"),
    Route("/classify", CLASSIFIES, "classify", "pooling"),
    Route("/score", SCORES, "score", "pooling"),
    Route("/rerank", SCORES, "rerank", "pooling"),
    Route("/tokenize", ALWAYS, "tokenize"),
    Route("/detokenize", ALWAYS, "detokenize"),
    Route("/v1/load_lora_adapter", LORA, "lora"),
    Route("/sleep", SLEEPS, "sleep"),
    Route("/abort_requests", ABORTS, "abort_requests"),
    # What follows is only explained where it is missing.
    Route("/v1/models", ALWAYS),
    Route("/health", ALWAYS),
    Route("/version", ALWAYS),
    Route("/metrics", ALWAYS),
    Route("/load", ALWAYS),
    Route("/v1/unload_lora_adapter", LORA),
    Route("/wake_up", SLEEPS),
    Route("/is_sleeping", SLEEPS),
    Route("/v1/chat/completions/batch", GENERATES),
    Route("/v1/messages/count_tokens", GENERATES),
    Route("/generative_scoring", GENERATES),
    Route("/v2/embed", EMBEDS),
    Route("/v1/score", SCORES),
    Route("/v1/rerank", SCORES),
    Route("/v2/rerank", SCORES),
    Route("/inference/v1/generate", SCALE_OUT),
    Route("/inference/v1/abort_requests", SCALE_OUT),
    Route("/v1/chat/completions/render", SCALE_OUT),
    Route("/v1/completions/render", SCALE_OUT),
    Route("/v1/messages/render", SCALE_OUT),
    Route("/v1/responses/render", SCALE_OUT),
    Route("/v1/chat/completions/derender", SCALE_OUT),
    Route("/v1/completions/derender", SCALE_OUT),
    Route("/tokenizer_info", "with --enable-tokenizer-info-endpoint"),
    Route("/server_info", DEVELOPMENT),
    Route("/reset_prefix_cache", DEVELOPMENT),
    Route("/reset_mm_cache", DEVELOPMENT),
    Route("/reset_encoder_cache", DEVELOPMENT),
    Route("/release_kv_cache_memory", DEVELOPMENT),
    Route("/collective_rpc", DEVELOPMENT),
    Route("/pause", DEVELOPMENT),
    Route("/resume", DEVELOPMENT),
    Route("/is_paused", DEVELOPMENT),
    Route("/start_profile", PROFILES),
    Route("/stop_profile", PROFILES),
    Route("/fault_tolerance/apply", "with --enable-fault-tolerance"),
    Route("/fault_tolerance/status", "with --enable-fault-tolerance"),
    Route("/cohere/v2/chat", "with the variable VLLM_ENABLE_COHERE_API=1 and the package cohere"),
    Route("/openapi.json", DOCUMENTS),
    Route("/docs", DOCUMENTS),
    Route("/redoc", DOCUMENTS),
)

# Parts of the OpenAI API that no vLLM has, whatever its model and options.
MISSING_API = (
    "/v1/assistants",
    "/v1/audio/speech",
    "/v1/batches",
    "/v1/containers",
    "/v1/conversations",
    "/v1/evals",
    "/v1/files",
    "/v1/fine_tuning",
    "/v1/images",
    "/v1/moderations",
    "/v1/threads",
    "/v1/uploads",
    "/v1/vector_stores",
    "/v1/videos",
)
