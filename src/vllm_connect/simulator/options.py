"""What a simulated server is: one list of options, from which its constructor and its command lines are made."""

import hashlib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final, Literal, TypeVar

from vllm_connect.simulator.versions import Behaviour, behaviour

Kind = Literal["generate", "pooling"]
PoolingTask = Literal["embed", "classify", "token_embed", "token_classify"]
Shape = Literal["one", "many", "pairs"]
_T = TypeVar("_T")


def _described(shown: str, **about: Any) -> dict[str, Any]:
    return {"help": shown, **about}


def option(
    default: _T,
    shown: str,
    *,
    unit: str | None = None,
    variable: str | None = None,
    least: float | None = None,
    most: float | None = None,
    command_default: _T | None = None,
    on_command_line: bool = True,
    secret: bool = False,
) -> _T:
    """
    One field of `Options`: its default and its line of help.

    `unit` stands for the value in a help page; `variable` is what the environment calls it; `command_default` is the
    default of a command line where that is another one. What is `secret` is not in a repr nor on a command line.
    """
    about: dict[str, Any] = {"unit": unit, "variable": variable, "least": least, "most": most}
    about |= {"command_default": command_default, "on_command_line": on_command_line and not secret}
    return field(default=default, repr=not secret, metadata=_described(shown, **about))


@dataclass(frozen=True)
class Options:
    """The server's settings, most of them named as vLLM's own flags; a value out of range is a ValueError."""

    kind: Kind = option("generate", "which task it serves")
    models: tuple[str, ...] = option(("sim-model",), "served names, the first leads", unit="NAME")
    api_key: str | tuple[str, ...] | None = option(
        None, "the key or keys it asks for", variable="VLLM_API_KEY", secret=True
    )
    root_path: str = option("", "a prefix under which it answers, too", unit="PATH")
    max_model_len: int = option(4096, "tokens of context", unit="TOKENS", least=1)
    dimensions: int = option(384, "length of an embedding", least=1)
    first_token_delay: float = option(0.0, "time before the first token", unit="SECONDS", least=0)
    token_delay: float = option(0.0, "time between tokens", unit="SECONDS", least=0)
    host: str = option("127.0.0.1", "address to listen on")
    port: int = option(0, "port to listen on; 0 for any", least=0, most=65535, command_default=8000)
    uds: str | None = option(None, "a unix socket to listen on instead", unit="PATH")
    version: str = option("0.32.0", "the vLLM version it claims to be")
    pooling_task: PoolingTask = option("embed", "what a pooling model makes of a text")
    labels: tuple[str, ...] = option(
        ("negative", "neutral", "positive"), "what a classifier tells apart", unit="NAME"
    )
    matryoshka_dimensions: tuple[int, ...] = option(
        (), "other lengths that an embedding may be cut to", unit="COUNT"
    )
    enable_lora: bool = option(False, "serve LoRA adapters, which lora_modules does too")
    lora_modules: Mapping[str, str] = field(
        default_factory=dict, metadata=_described("adapters, as name=path", unit="NAME=PATH")
    )
    lora_paths: tuple[str, ...] | None = option(
        None, "where adapters lie that can be loaded; anywhere if not given", unit="PATH"
    )
    allow_runtime_lora_updating: bool = option(
        False, "load and unload adapters on request", variable="VLLM_ALLOW_RUNTIME_LORA_UPDATING"
    )
    tool_call_parser: str | None = option("hermes", "parse tool calls; empty for not", unit="NAME")
    reasoning_parser: str | None = option(None, "reason before answering", unit="NAME")
    max_num_queued_reqs: int | None = option(
        None, "sequences under way before it answers 503", unit="COUNT", least=0
    )
    max_logprobs: int = option(20, "most logprobs that may be asked for", unit="COUNT")
    dev_mode: bool = option(False, "serve /sleep, /wake_up and the like", variable="VLLM_SERVER_DEV_MODE")
    enable_server_load_tracking: bool = option(False, "count what is under way in /load")
    enable_request_id_headers: bool = option(False, "answer with X-Request-Id")
    block_size: int = option(16, "tokens of a block of the prefix cache", unit="TOKENS", least=1)
    enable_prompt_tokens_details: bool = option(False, "tell in each reply how much of its prompt was cached")
    stream_interval: int = option(1, "tokens of a chunk behind the first", unit="TOKENS", least=1)
    enable_force_include_usage: bool = option(False, "send the usage in every stream")
    enable_per_request_metrics: bool = option(False, "tell in each reply how long it took")
    enable_tokenizer_info_endpoint: bool = option(False, "serve /tokenizer_info")
    enable_responses_api_store: bool = option(
        False, "keep responses, to be asked for later", variable="VLLM_ENABLE_RESPONSES_API_STORE"
    )
    allowed_origins: tuple[str, ...] = option((), "pages whose browsers may ask, * for all", unit="ORIGIN")
    ssl_certfile: str | None = option(None, "a certificate, for TLS", unit="FILE")
    ssl_keyfile: str | None = option(None, "the key of that certificate, if in a file apart", unit="FILE")
    ssl_ca_certs: str | None = option(None, "authorities of the clients' certificates", unit="FILE")
    ssl_cert_reqs: int = option(0, "ask clients for a certificate: 0 no, 1 if any, 2 always", least=0, most=2)
    keep_alive: float = option(
        5.0,
        "idle time before a connection is closed",
        unit="SECONDS",
        variable="VLLM_HTTP_TIMEOUT_KEEP_ALIVE",
        least=0,
    )
    sse_keep_alive_interval: float = option(
        0.0, "silence in a stream after which it sends a comment; 0 for never", unit="SECONDS", least=0
    )
    jitter: float = option(0.0, "share by which each delay varies, up and down", least=0, most=1)
    jitter_seed: int = option(0, "what the varying is drawn from")
    loading: float = option(
        0.0, "time in which it refuses connections, as while it loads", unit="SECONDS", least=0
    )
    faults: tuple[str, ...] = option(
        (), "faults that are on from the start, as 'name; key=value'", unit="FAULT"
    )
    own_process: bool = option(False, "run in a process of its own", on_command_line=False)

    def __post_init__(self) -> None:
        # A caller's list is as good as a tuple, but what is frozen must hold no list.
        for name in ("models", "faults"):
            given = getattr(self, name)
            if isinstance(given, str):
                raise TypeError(f"{name}: {given!r} is one; a tuple of them is expected")
            object.__setattr__(self, name, tuple(given))
        for one in OPTIONS:
            one.check(getattr(self, one.name))
        if not self.models:
            raise ValueError("models: a server serves one at least")
        behaviour(self.version)  # refuses what is no release
        if any(not 0 < length <= self.dimensions for length in self.matryoshka_dimensions):
            raise ValueError(f"matryoshka_dimensions: each lies between 1 and dimensions, {self.dimensions}")
        if not self.labels:
            raise ValueError("labels: a classifier has one at least")
        if not self.ssl_certfile and (self.ssl_keyfile or self.ssl_ca_certs or self.ssl_cert_reqs):
            raise ValueError("ssl_certfile: TLS needs one; the other ssl_ options alone mean nothing")

    @property
    def api_keys(self) -> tuple[str, ...]:
        """Every key that is accepted; none means that none is asked for."""
        return (self.api_key,) if isinstance(self.api_key, str) else tuple(self.api_key or ())

    @property
    def scheme(self) -> Literal["http", "https"]:
        """What its address begins with."""
        return "https" if self.ssl_certfile else "http"

    @property
    def scores(self) -> bool:
        """Whether texts can be scored: by embeddings, or by a classifier of one label."""
        return self.pooling_task in ("embed", "token_embed") or (
            self.pooling_task == "classify" and len(self.labels) == 1
        )

    @property
    def serves_adapters(self) -> bool:
        """Whether LoRA adapters can be served at all."""
        return self.enable_lora or bool(self.lora_modules)

    @property
    def has_parser(self) -> bool:
        """Whether replies go through a parser, which keeps empty pieces of text to itself."""
        return bool(self.tool_call_parser or self.reasoning_parser)

    @property
    def behaviour(self) -> Behaviour:
        """What the release does that it claims to be."""
        return behaviour(self.version)

    @property
    def fingerprint(self) -> str | None:
        """The `system_fingerprint` of every reply: the version and a hash of what is served."""
        if not self.behaviour.tells_fingerprint:
            return None
        served = f"{self.models[0]} {self.max_model_len} {self.version}"
        return f"vllm-{self.version}-{hashlib.sha256(served.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Option:
    """
    One field of `Options`, as a command line needs to know it.

    `value_type` is what one value is, `shape` how many there may be (`pairs` are NAME=VALUE, given as a mapping), and `default`
    the command line's own. A value may come from the environment's `variable`; the key, which is not `on_command_line`,
    from there or from a file.
    """

    name: str
    value_type: type[str | int | float | bool]
    shape: Shape
    optional: bool
    choices: tuple[str, ...]
    default: Any
    help: str
    unit: str | None = None
    variable: str | None = None
    least: float | None = None
    most: float | None = None
    on_command_line: bool = True

    @property
    def flag(self) -> str:
        """How a command line spells it."""
        return "--" + self.name.replace("_", "-")

    def read(self, text: str) -> Any:
        """One value from its text; an empty text is no value where none is allowed."""
        if self.optional and not text:
            return None
        if self.value_type is bool:
            return text.strip().lower() in ("1", "true", "yes", "on")
        return self.value_type(text)

    def check(self, value: object) -> None:
        """Refuse a value out of range, naming the option."""
        if self.choices and value not in self.choices:
            raise ValueError(f"{self.name}: {value!r} is none of {', '.join(self.choices)}")
        if isinstance(value, int | float):
            if self.least is not None and value < self.least:
                raise ValueError(f"{self.name}: {value!r} is below {self.least}")
            if self.most is not None and value > self.most:
                raise ValueError(f"{self.name}: {value!r} is above {self.most}")


def _option(one: Field[Any], hint: Any) -> Option:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    origins = {typing.get_origin(kind) for kind in kinds}
    shape: Shape = "pairs" if Mapping in origins else "many" if tuple in origins else "one"
    literal = next((kind for kind in kinds if typing.get_origin(kind) is Literal), None)
    about = {key: value for key, value in one.metadata.items() if key != "command_default"}
    default = one.default if one.default is not MISSING else {}
    return Option(
        name=one.name,
        value_type=next((kind for kind in (bool, int, float) if kind in kinds), str),
        shape=shape,
        optional=type(None) in kinds,
        choices=typing.get_args(literal),
        default=default if one.metadata.get("command_default") is None else one.metadata["command_default"],
        **about,
    )


def _options() -> tuple[Option, ...]:
    hints = typing.get_type_hints(Options)
    return tuple(_option(one, hints[one.name]) for one in fields(Options))


OPTIONS: Final = _options()
