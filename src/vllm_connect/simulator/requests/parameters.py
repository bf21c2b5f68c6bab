"""The request parameters of each route as tables, in the order vLLM 0.32 declares them."""

from dataclasses import replace

from vllm_connect.simulator.requests import shapes
from vllm_connect.simulator.requests.fields import Field, Shape

_LEAST, _MOST = -(2**63), 2**63 - 1
_INTEGER = Field("", "integer", nullable=False)
_NATURAL = Field("", "integer", nullable=False, least=0)
_TEXT = Field("", "string", nullable=False)


def _flag(name: str, *, default: bool = False, nullable: bool = False) -> Field:
    return Field(name, "boolean", default, nullable=nullable)


def _texts(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, "string") for name in names)


def _numbers(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, "number") for name in names)


def _objects(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, "object") for name in names)


def _exactly(name: str, *literals: str) -> Field:
    return Field(name, "literal", nullable=False, required=True, literals=literals)


_FUNCTION = (
    Field("name", "string", nullable=False, required=True),
    *_texts("description"),
    *_objects("parameters"),
    Field("strict", "boolean"),
)
_TOOL = Field(
    "",
    "model",
    nullable=False,
    fields=(
        Field("type", "literal", "function", nullable=False, literals=("function",)),
        Field("function", "model", nullable=False, required=True, fields=_FUNCTION),
    ),
)
_SCHEMA = (
    Field("name", "string", nullable=False, required=True),
    *_texts("description"),
    *_objects("schema"),
    Field("strict", "boolean"),
)
_RESPONSE_FORMAT = Field(
    "response_format",
    "model",
    ways=(
        (
            _exactly("type", "text", "json_object", "json_schema"),
            Field("json_schema", "model", fields=_SCHEMA),
        ),
        (
            _exactly("type", "structural_tag"),
            Field("format", "any", required=True),
        ),
        (
            _exactly("type", "structural_tag"),
            Field("structures", "list", nullable=False, required=True),
            Field("triggers", "list", nullable=False, required=True),
        ),
    ),
)
_STREAM_OPTIONS = Field(
    "stream_options",
    "model",
    fields=(
        _flag("include_usage", default=True, nullable=True),
        _flag("continuous_usage_stats", nullable=True),
    ),
)
_STRUCTURED_OUTPUTS = Field(
    "structured_outputs",
    "object",
    fields=(
        Field("regex", "string"),
        Field("choice", "list", items=_TEXT),
        Field("grammar", "string"),
        Field("json_object", "boolean"),
        _flag("disable_any_whitespace"),
        _flag("disable_additional_properties"),
        *_texts("whitespace_pattern", "structural_tag"),
    ),
)
_LOGIT_BIAS = Field("logit_bias", "object", items=Field("", "number", nullable=False))

_TRUNCATION = (
    Field("truncate_prompt_tokens", "integer", least=-1, most=_MOST),
    Field("truncation_side", "literal", literals=("left", "right")),
)

_SAMPLING = (
    _flag("use_beam_search"),
    Field("top_k", "integer"),
    *_numbers("min_p", "repetition_penalty"),
    _flag("watermarking", nullable=True),
    Field("length_penalty", "number", 1.0, nullable=False),
    Field("stop_token_ids", "list", (), items=_INTEGER),
    _flag("include_stop_str_in_output"),
    _flag("ignore_eos"),
    Field("min_tokens", "integer", 0, nullable=False),
    _flag("skip_special_tokens", default=True),
    _flag("spaces_between_special_tokens", default=True),
    *_TRUNCATION,
    Field("prompt_logprobs", "integer"),
    Field("logprob_token_ids", "list", items=_INTEGER),
    Field("allowed_token_ids", "list", items=_INTEGER),
    Field("bad_words", "list", (), nullable=False, items=_TEXT),
)

_CONTROL = (
    _STRUCTURED_OUTPUTS,
    Field("priority", "integer", 0, nullable=False, least=_LEAST, most=_MOST),
    *_texts("request_id", "session_id"),
    _flag("return_tokens_as_token_ids", nullable=True),
    _flag("return_token_ids", nullable=True),
    Field("routed_experts_prompt_start", "integer", 0, nullable=False, least=0),
    _flag("return_token_offsets", nullable=True),
    Field("mm_payload", "any"),
    _flag("return_mm_kwargs", nullable=True),
    *_texts("cache_salt"),
    *_objects("kv_transfer_params", "ec_transfer_params", "vllm_xargs", "repetition_detection"),
    Field("stream_interval", "integer", least=1),
)

_TEMPLATE = (
    Field("chat_template", "string"),
    *_objects("chat_template_kwargs", "media_io_kwargs", "mm_processor_kwargs"),
)

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

CHAT = (
    Field("messages", "list", nullable=False, required=True),
    *_texts("model"),
    *_numbers("frequency_penalty"),
    _LOGIT_BIAS,
    _flag("logprobs", nullable=True),
    Field("top_logprobs", "integer", 0),
    Field("max_tokens", "integer"),
    Field("max_completion_tokens", "integer"),
    Field("n", "integer", 1),
    *_numbers("presence_penalty"),
    _RESPONSE_FORMAT,
    Field("seed", "integer", least=_LEAST, most=_MOST),
    Field("stop", "any", ()),
    _flag("stream", nullable=True),
    _STREAM_OPTIONS,
    *_numbers("temperature", "top_p"),
    Field("tools", "list", items=_TOOL),
    Field("tool_choice", "any", "none"),
    Field("reasoning_effort", "literal", literals=_EFFORTS),
    Field("thinking_token_budget", "integer"),
    _flag("include_reasoning", default=True),
    _flag("parallel_tool_calls", default=True, nullable=True),
    *_texts("user"),
    *_SAMPLING,
    _flag("echo"),
    _flag("add_generation_prompt", default=True),
    _flag("continue_final_message"),
    _flag("add_special_tokens"),
    Field("documents", "list"),
    *_TEMPLATE,
    _flag("return_prompt_text", nullable=True),
    *_CONTROL,
)

_REASONING = Field(
    "reasoning",
    "object",
    fields=(
        Field("context", "any"),
        Field("effort", "literal", literals=_EFFORTS),
        *(Field(name, "any") for name in ("generate_summary", "mode", "summary")),
    ),
)
_RESPONSE_TOOL = Field("", "any", nullable=False, errors=shapes.response_tool_errors)
_INCLUDED = (
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
)

RESPONSE = (
    _flag("background", nullable=True),
    Field("include", "list", items=Field("", "literal", nullable=False, literals=_INCLUDED)),
    Field("input", "any", required=True, errors=shapes.response_input_errors),
    *_texts("instructions"),
    Field("max_output_tokens", "integer"),
    Field("max_tool_calls", "integer"),
    *_objects("metadata"),
    *_texts("model"),
    _LOGIT_BIAS,
    _flag("parallel_tool_calls", default=True, nullable=True),
    *_texts("previous_response_id"),
    *_objects("prompt"),
    _REASONING,
    _flag("include_reasoning", default=True),
    Field(
        "service_tier",
        "literal",
        "auto",
        nullable=False,
        literals=("auto", "default", "flex", "scale", "priority"),
    ),
    _flag("store", default=True, nullable=True),
    _flag("stream", nullable=True),
    *_numbers("temperature"),
    Field(
        "text",
        "object",
        fields=(Field("format", "any", errors=shapes.response_format_errors), Field("verbosity", "any")),
    ),
    Field("tool_choice", "any", "auto"),
    Field("tools", "list", (), nullable=False, items=_RESPONSE_TOOL),
    Field("top_logprobs", "integer", 0),
    *_numbers("top_p"),
    Field("top_k", "integer"),
    *_numbers("min_p"),
    Field("truncation", "literal", "disabled", literals=("auto", "disabled")),
    *_texts("user"),
    _flag("skip_special_tokens", default=True),
    _flag("include_stop_str_in_output"),
    Field("presence_penalty", "number", least=-2, most=2),
    Field("frequency_penalty", "number", least=-2, most=2),
    *_texts("prompt_cache_key"),
    _flag("watermarking", nullable=True),
    *_texts("request_id", "session_id"),
    *_objects("media_io_kwargs", "mm_processor_kwargs"),
    Field("priority", "integer", 0, nullable=False, least=_LEAST, most=_MOST),
    Field("mm_payload", "any"),
    _flag("return_mm_kwargs", nullable=True),
    *_texts("cache_salt"),
    _flag("enable_response_messages"),
    Field("previous_input_messages", "list"),
    _STRUCTURED_OUTPUTS,
    *_numbers("repetition_penalty"),
    Field("seed", "integer", least=_LEAST, most=_MOST),
    Field("stop", "any", ()),
    Field("stop_token_ids", "list", (), items=_INTEGER),
    _flag("ignore_eos"),
    *_objects("vllm_xargs", "kv_transfer_params", "ec_transfer_params", "chat_template_kwargs"),
)

# What may stand behind the path of a stored response.
STORED_RESPONSE = (Field("starting_after", "integer"), _flag("stream", nullable=True))

_ANTHROPIC_MESSAGE = Field(
    "",
    "model",
    nullable=False,
    fields=(
        Field("role", "literal", nullable=False, required=True, literals=("user", "assistant", "system")),
        Field("content", "any", required=True, errors=shapes.block_errors),
    ),
)
_ANTHROPIC_TOOL = Field(
    "",
    "model",
    nullable=False,
    fields=(
        Field("name", "string", nullable=False, required=True),
        Field("input_schema", "object", nullable=False, required=True),
    ),
)
_ANTHROPIC_CHOICE = Field(
    "tool_choice",
    "model",
    fields=(
        Field("type", "literal", nullable=False, required=True, literals=("auto", "any", "tool", "none")),
        *_texts("name"),
    ),
)
_REQUIRED_MODEL = Field("model", "any", required=True, errors=shapes.required_model_errors)
_ANTHROPIC_MESSAGES = Field("messages", "list", nullable=False, required=True, items=_ANTHROPIC_MESSAGE)
_SYSTEM = Field("system", "any", errors=shapes.block_errors)
_ANTHROPIC_TOOLS = Field("tools", "list", items=_ANTHROPIC_TOOL)

MESSAGE = (
    _REQUIRED_MODEL,
    _ANTHROPIC_MESSAGES,
    Field("max_tokens", "any", required=True, errors=shapes.positive_errors),
    *_objects("metadata", "output_config", "thinking"),
    Field("stop_sequences", "list", items=_TEXT),
    _flag("stream", nullable=True),
    _SYSTEM,
    *_numbers("temperature"),
    _ANTHROPIC_CHOICE,
    _ANTHROPIC_TOOLS,
    Field("top_k", "integer"),
    *_numbers("top_p"),
    Field("mm_payload", "any"),
    _flag("return_mm_kwargs", nullable=True),
    *_texts("cache_salt"),
    _flag("watermarking", nullable=True),
    *_objects("kv_transfer_params", "ec_transfer_params", "vllm_xargs", "chat_template_kwargs"),
)

MESSAGE_COUNT = (
    _REQUIRED_MODEL,
    _ANTHROPIC_MESSAGES,
    *_objects("output_config"),
    _SYSTEM,
    *_objects("thinking"),
    _ANTHROPIC_CHOICE,
    _ANTHROPIC_TOOLS,
    *_objects("chat_template_kwargs"),
)

BATCH = (
    Field("messages", "any", required=True, errors=shapes.conversations_errors),
    *_texts("model"),
    *_numbers("frequency_penalty"),
    _LOGIT_BIAS,
    _flag("logprobs", nullable=True),
    Field("top_logprobs", "integer", 0),
    Field("logprob_token_ids", "list", items=_INTEGER),
    Field("max_tokens", "integer"),
    Field("max_completion_tokens", "integer"),
    Field("n", "integer", 1),
    *_numbers("presence_penalty"),
    _RESPONSE_FORMAT,
    Field("seed", "integer", least=_LEAST, most=_MOST),
    Field("stop", "any", ()),
    *_numbers("temperature", "top_p"),
    *_texts("user"),
    Field("tool_choice", "any", "none"),
    _flag("include_reasoning", default=True),
    Field("best_of", "integer"),
    _flag("use_beam_search"),
    Field("top_k", "integer"),
    *_numbers("min_p", "repetition_penalty"),
    _flag("watermarking", nullable=True),
    Field("length_penalty", "number", 1.0, nullable=False),
    _flag("early_stopping"),
    _STRUCTURED_OUTPUTS,
    *_texts("request_id"),
    _flag("add_generation_prompt", default=True),
    _flag("continue_final_message"),
    *_TEMPLATE,
    Field("priority", "integer", 0, nullable=False, least=_LEAST, most=_MOST),
    *_texts("cache_salt"),
    _flag("include_stop_str_in_output"),
    *_texts("guided_decoding_backend"),
    _flag("echo"),
    _flag("return_tokens_as_token_ids", nullable=True),
    _flag("return_token_ids", nullable=True),
)

GENERATIVE_SCORING = (
    *_texts("model"),
    Field("query", "any", required=True, errors=shapes.query_errors),
    Field("items", "any", required=True, errors=shapes.items_errors),
    Field("label_token_ids", "list", nullable=False, required=True, items=_INTEGER),
    _flag("apply_softmax", default=True),
    _flag("item_first"),
    _flag("add_special_tokens", default=True),
    *_texts("cache_salt"),
    Field("priority", "integer", 0, nullable=False, least=_LEAST, most=_MOST),
    *_texts("request_id"),
)

COHERE_EMBEDDING = (
    *_texts("model", "input_type"),
    Field("texts", "list", items=_TEXT),
    Field("images", "list", items=_TEXT),
    Field("inputs", "list"),
    Field("output_dimension", "integer"),
    Field(
        "embedding_types",
        "list",
        items=Field("", "literal", nullable=False, literals=("float", "binary", "ubinary", "base64")),
    ),
    Field("truncate", "literal", "END", nullable=False, literals=("NONE", "START", "END")),
    Field("max_tokens", "integer"),
    Field("priority", "integer", 0, nullable=False, least=_LEAST, most=_MOST),
)

COMPLETION = (
    *_texts("model"),
    Field("prompt", "any"),
    _flag("echo", nullable=True),
    *_numbers("frequency_penalty"),
    _LOGIT_BIAS,
    Field("logprobs", "integer"),
    Field("max_tokens", "integer", 16),
    Field("n", "integer", 1, nullable=False),
    *_numbers("presence_penalty"),
    Field("seed", "integer", least=_LEAST, most=_MOST),
    Field("stop", "any", ()),
    _flag("stream", nullable=True),
    _STREAM_OPTIONS,
    *_texts("suffix"),
    *_numbers("temperature", "top_p"),
    *_texts("user"),
    *_SAMPLING,
    Field("prompt_embeds", "any"),
    _flag("add_special_tokens", default=True),
    _RESPONSE_FORMAT,
    Field("thinking_token_budget", "integer"),
    *_CONTROL,
)

_POOLING = (
    *_texts("model", "user"),
    *_TRUNCATION,
    Field("padding", "literal", literals=("max_length", "do_not_pad")),
    *_texts("request_id"),
    Field("priority", "integer", 0, nullable=False, least=_LEAST, most=_MOST),
    *_objects("mm_processor_kwargs"),
    *_texts("cache_salt"),
)
_ACTIVATION = Field("use_activation", "boolean")
_MARKS = _flag("add_special_tokens", default=True)
# A chat template writes the marks itself.
_TEMPLATED = (
    _flag("add_generation_prompt"),
    _flag("continue_final_message"),
    _flag("add_special_tokens"),
    Field("chat_template", "string"),
    *_objects("chat_template_kwargs", "media_io_kwargs"),
)
_INPUT = Field("input", "any", required=True, errors=shapes.prompt_errors)
_MESSAGES = Field("messages", "any", required=True, errors=shapes.message_errors)
_CONVERSATIONS = Field("messages", "any", required=True, errors=shapes.sequence_errors)

_ENCODING = (
    Field(
        "encoding_format",
        "literal",
        "float",
        nullable=False,
        literals=("float", "base64", "bytes", "bytes_only"),
    ),
    Field(
        "embed_dtype",
        "literal",
        "float32",
        nullable=False,
        literals=("float32", "float16", "bfloat16", "fp8_e4m3", "fp8_e5m2"),
    ),
    Field("endianness", "literal", "native", nullable=False, literals=("native", "big", "little")),
)

_EMBEDDING = (*_POOLING, *_ENCODING, Field("dimensions", "integer"), _ACTIVATION)

EMBEDDING = (
    Shape("EmbeddingCompletionRequest", (*_EMBEDDING, _MARKS, _INPUT)),
    Shape("EmbeddingChatRequest", (*_EMBEDDING, *_TEMPLATED, _MESSAGES)),
    Shape("EmbeddingBatchChatRequest", (*_EMBEDDING, *_TEMPLATED, _CONVERSATIONS)),
    Shape(
        "EmbeddingChatInputRequest",
        (*_EMBEDDING, *_TEMPLATED, _MESSAGES, replace(_MESSAGES, name="input")),
    ),
    Shape(
        "EmbeddingBatchChatInputRequest",
        (*_EMBEDDING, *_TEMPLATED, _CONVERSATIONS, replace(_CONVERSATIONS, name="input")),
    ),
)

CLASSIFICATION = (
    Shape("ClassificationCompletionRequest", (*_POOLING, _ACTIVATION, _MARKS, _INPUT)),
    Shape("ClassificationChatRequest", (*_POOLING, _ACTIVATION, *_TEMPLATED, _MESSAGES)),
)

_TASK = Field(
    "task",
    "literal",
    literals=("embed", "classify", "token_embed", "token_classify", "plugin", "embed&token_classify"),
)

POOLING = (
    Shape("PoolingCompletionRequest", (*_EMBEDDING, _MARKS, _INPUT, _TASK)),
    Shape("PoolingChatRequest", (*_EMBEDDING, *_TEMPLATED, _MESSAGES, _TASK)),
    Shape("IOProcessorRequest", (*_POOLING, *_ENCODING, Field("data", "any", required=True), _TASK)),
)

_SCORING = (
    *_POOLING,
    _ACTIVATION,
    Field("max_tokens_per_query", "integer", 0, nullable=False),
    Field("max_tokens_per_doc", "integer", 0, nullable=False),
    *_texts("instruction"),
    *_objects("chat_template_kwargs"),
)


def _scored(*names: str) -> tuple[Field, ...]:
    return (*_SCORING, *(Field(name, "any", required=True, errors=shapes.scored_errors) for name in names))


SCORE = (
    Shape("ScoreQueriesDocumentsRequest", _scored("queries", "documents")),
    Shape("ScoreQueriesItemsRequest", _scored("queries", "items")),
    Shape("ScoreDataRequest", _scored("data_1", "data_2")),
    Shape("ScoreTextRequest", _scored("text_1", "text_2")),
)

RERANK = (
    *_SCORING,
    Field("query", "any", required=True, errors=shapes.scored_one_errors),
    Field("documents", "any", required=True, errors=shapes.scored_errors),
    Field("top_n", "integer", 0, nullable=False, least=0),
)

TOKENIZE = (
    Shape(
        "TokenizeCompletionRequest",
        (
            *_texts("model"),
            Field("prompt", "string", nullable=False, required=True),
            _flag("add_special_tokens", default=True),
            _flag("return_token_strs", nullable=True),
        ),
    ),
    Shape(
        "TokenizeChatRequest",
        (
            *_texts("model"),
            _MESSAGES,
            _flag("add_generation_prompt", default=True),
            _flag("return_token_strs", nullable=True),
            _flag("continue_final_message"),
            _flag("add_special_tokens"),
            *_TEMPLATE,
            Field("tools", "list"),
        ),
    ),
)

DETOKENIZE = (
    *_texts("model"),
    Field("tokens", "list", nullable=False, required=True, items=_NATURAL),
)

LOAD_ADAPTER = (
    *(Field(name, "string", nullable=False, required=True) for name in ("lora_name", "lora_path")),
    _flag("load_inplace"),
    _flag("is_3d_lora_weight"),
)

UNLOAD_ADAPTER = (
    Field("lora_name", "string", nullable=False, required=True),
    Field("lora_int_id", "integer"),
)

DECISION = (
    *_texts("model"),
    Field("state", "any", required=True),
    Field("questions", "object", nullable=False, required=True),
    *_texts("instructions"),
    *(Field(name, "list", items=_TEXT) for name in ("images", "audio", "videos")),
    *_objects("chat_template_kwargs"),
    *_texts("cache_salt"),
    Field("priority", "integer", 0, nullable=False, least=_LEAST, most=_MOST),
    *_texts("request_id"),
)

_PAUSE_MODE = Field("mode", "literal", "abort", nullable=False, literals=("abort", "wait", "keep"))

# What may stand behind a path.
SLEEP = (Field("level", "integer", 1, nullable=False, least=0, most=2), _PAUSE_MODE)
PAUSE = (_PAUSE_MODE, _flag("clear_cache", default=True))
RESET_PREFIX_CACHE = (_flag("reset_running_requests"), _flag("reset_external"))
SERVER_INFO = (Field("config_format", "literal", "text", nullable=False, literals=("text", "json")),)
WORLD_SIZE = (_flag("include_dp", default=True),)

# What the routes about weights take.
WEIGHT_TRANSFER = (Field("init_info", "object", nullable=False, required=True),)
WEIGHT_UPDATE = (Field("update_info", "object", nullable=False, required=True),)
WEIGHT_VERSION = (Field("new_version", "string", nullable=False, required=True),)
WEIGHT_FINISH = _texts("weight_version")
WEIGHT_CHECK = (
    Field("action", "literal", nullable=False, required=True, literals=("checksum", "reset", "compare")),
    *_objects("baseline"),
)
