"""What a simulated server is: fixed when it starts."""

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["generate", "pooling"]


@dataclass(frozen=True)
class Options:
    """The server's settings, most of them named as vLLM's own flags."""

    kind: Kind = "generate"
    models: tuple[str, ...] = ("sim-model",)
    api_keys: tuple[str, ...] = ()
    root_path: str = ""
    max_model_len: int = 4096
    dimensions: int = 384
    first_token_delay: float = 0.0
    token_delay: float = 0.0
    host: str = "127.0.0.1"
    port: int = 0
    uds: str | None = None
    ssl_context: ssl.SSLContext | None = None
    version: str = "0.32.0"
    lora_modules: Mapping[str, str] = field(default_factory=dict)
    tool_call_parser: str | None = "hermes"
    reasoning_parser: str | None = None
    max_num_queued_reqs: int | None = None
    max_logprobs: int = 20
    dev_mode: bool = False
    enable_server_load_tracking: bool = False
    enable_request_id_headers: bool = False

    @property
    def has_parser(self) -> bool:
        """Whether replies go through a parser, which keeps empty pieces of text to itself."""
        return bool(self.tool_call_parser or self.reasoning_parser)

    @property
    def fingerprint(self) -> str:
        """The `system_fingerprint` of every reply: the version and a hash of what is served."""
        served = f"{self.models[0]} {self.max_model_len} {self.version}"
        return f"vllm-{self.version}-{hashlib.sha256(served.encode()).hexdigest()[:8]}"
