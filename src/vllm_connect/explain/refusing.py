"""Rules about what a server says: keys, models, routes, parameters, load; as an answer or within a stream.

The words are vLLM's (0.32; older ones where they differ), each pattern as much of them as releases have kept.
"""

from __future__ import annotations

from vllm_connect.explain.case import Case
from vllm_connect.explain.rule import Rule, being, either, lacks, said, status, when

__all__ = ["REFUSING"]

# Gateways that speak for a server they cannot reach.
OF_GATEWAYS = (502, 503, 504)
NOT_FOUND = 404
NO_ROUTE = (NOT_FOUND, 405)
LACKS_API = r"does not support .* API$"


def _is_foreign(case: Case) -> bool:
    """Whether an answer is none of vLLM's shapes."""
    return not case.is_handlers and not case.is_frameworks


def _lacks_route(case: Case) -> bool:
    return case.status in NO_ROUTE and not case.is_handlers


def _wants_tls(case: Case) -> bool:
    """Whether a TLS port says what it was asked in: nginx's words, and those of servers written in Go."""
    return (
        "HTTP request was sent to HTTPS port" in case.page or "HTTP request to an HTTPS server" in case.page
    )


def _wants_certificate(case: Case) -> bool:
    """Whether nginx says that a client certificate is missing, or not accepted."""
    return "SSL certificate was sent" in case.page or "SSL certificate error" in case.page


def _is_base_in_doubt(case: Case) -> bool:
    """Whether a route is missing below a base path that is not vLLM's own, and under which no models were found."""
    return _lacks_route(case) and case.base_path != "/v1" and not case.models and case.api_at is not None


def _lacks_of_kind(case: Case) -> bool:
    """Whether a route is missing that vLLM has on one kind of server only, and the answer is of vLLM's shape."""
    route = case.known_route
    return case.status == NOT_FOUND and case.is_frameworks and route is not None and route.kind is not None


KEYS: tuple[Rule, ...] = (
    Rule(
        "own-header-refused",
        "401, and your code gave the Authorization header",
        (status(401), when(lambda case: case.own_key)),
        "{place} refused the Authorization header that your code gives.",
        "Leave the header out and pass the key as api_key, or give `Bearer` and the key that the server was started with.",
    ),
    Rule(
        "key-refused",
        "401, and a key was sent",
        (status(401), when(lambda case: case.has_key)),
        "{place} refused the API key from {key_from}.",
        "Put there the key that the server was started with (--api-key, or VLLM_API_KEY in its environment).",
    ),
    Rule(
        "key-of-openai",
        "401, and a key of the OpenAI platform was found and not sent",
        (status(401), when(lambda case: "OpenAI platform" in case.withheld)),
        "{place} wants an API key and none was sent ({withheld}).",
        "Set this server's own key as VLLM_API_KEY beside VLLM_BASE_URL, or pass api_key; "
        "use_openai_api_key=True sends the other all the same.",
    ),
    Rule(
        "key-withheld",
        "401, and a key was found and not sent",
        (status(401), when(lambda case: case.withheld)),
        "{place} wants an API key and none was sent ({withheld}).",
        "If it is this server's, set it where the address is set: VLLM_API_KEY beside VLLM_BASE_URL, or pass api_key.",
    ),
    Rule(
        "key-missing",
        "401, and there is no key",
        (status(401),),
        "{place} wants an API key and none was sent.",
        "Set VLLM_API_KEY beside VLLM_BASE_URL, or pass api_key.",
    ),
    Rule(
        "key-in-clear",
        "a key was not sent: in the clear over a public network",
        (being("key"), when(lambda case: "plain http to the public address" in case.happened)),
        "{happened}.",
        "Use https, or set allow_insecure_key=True if the way is safe.",
    ),
    Rule(
        "key-of-another",
        "a key was not sent: it belongs to another server",
        (being("key"),),
        "{happened}.",
        "For another server make another client, or give the request its own Authorization header.",
    ),
)

MODELS: tuple[Rule, ...] = (
    Rule(
        "adapter-not-loaded",
        "a LoRA adapter that is to be unloaded is not loaded",
        (said(r"(?i)lora adapter '?(?P<adapter>[^' ]+)'? (cannot be found|does not exist)"),),
        "{place} has no LoRA adapter {adapter} loaded.",
        "client.models.list() shows the adapters that are; load one by client.server.load_lora_adapter(name, path).",
    ),
    Rule(
        "adapter-not-found",
        "a LoRA adapter that is to be loaded is not where it is said to be",
        (
            said(
                r"(?i)loading lora (?P<adapter>\S+) failed: No adapter found|adapter '(?P<other>[^']+)' was found but"
            ),
        ),
        "{place} cannot load the LoRA adapter: {said}",
        "The path is one of the server's own machine, and has to hold adapter_config.json.",
    ),
    Rule(
        "adapters-off",
        "a LoRA adapter is asked of a server without LoRA",
        (said("LoRA is not enabled"),),
        "{place} serves no LoRA adapters.",
        "Start the server with --enable-lora.",
    ),
    Rule(
        "model-not-served-adapters",
        "404 for the model, of a server with LoRA adapters",
        (said(r"(?i)\bmodel\b.* does not exist"), when(lambda case: case.has_adapters)),
        "{place} does not serve the model `{model}`{model_from}, nor has it an adapter of that name loaded.",
        "Name one that it serves: {nearest}. An adapter is loaded by client.server.load_lora_adapter(name, path).",
    ),
    Rule(
        "model-not-served",
        "404 for the model, and what the server serves is known",
        (said(r"(?i)\bmodel\b.* does not exist"), when(lambda case: case.names)),
        "{place} does not serve the model `{model}`{model_from}.",
        "Name one that it serves: {nearest}. model_aliases={{'{model}': '{best}'}} maps the name in your code to it.",
    ),
    Rule(
        "model-unknown",
        "404 for the model",
        (said(r"(?i)\bmodel\b.* does not exist"),),
        "{place} does not serve the model `{model}`{model_from}.",
        "client.models.list() shows the names that this server accepts; leave `model` out to have its only one.",
    ),
)

PARAMETERS: tuple[Rule, ...] = (
    Rule(
        "tools-auto-off",
        "tools, of a server that was started without automatic tool choice",
        (said(r"tool choice requires --enable-auto-tool-choice"),),
        "{place} was not started for automatic tool choice.",
        "Start the server with --enable-auto-tool-choice --tool-call-parser PARSER, where PARSER is the one of the model's "
        "family (hermes for Qwen 2.5 and 3, llama3_json for Llama 3).",
    ),
    Rule(
        "tools-parser-missing",
        "a tool is called for, of a server that was started without a tool parser",
        (said(r"requires --tool-call-parser"),),
        "{place} was started without a parser for tool calls.",
        "Start the server with --tool-call-parser PARSER (and --enable-auto-tool-choice), where PARSER is the one of the "
        "model's family (hermes for Qwen 2.5 and 3, llama3_json for Llama 3).",
    ),
    Rule(
        "reasoning-parser-missing",
        "a budget for thinking, of a server that was started without a reasoning parser",
        (said(r"thinking_token_budget is set but reasoning_config"),),
        "{place} was started without a reasoning parser, so that it cannot count thinking.",
        "Start the server with --reasoning-parser PARSER (qwen3, deepseek_r1, ...), or leave thinking_token_budget out.",
    ),
    Rule(
        "prompt-too-long",
        "the prompt is longer than the model's context",
        (
            said(
                r"context length is (?P<most>\d+) tokens\. However, your prompt "
                r"contains (?P<count>(at least )?\d+) (input )?(?P<unit>\w+)"
            ),
        ),
        "The prompt has {count} {unit}, and {place} takes {most} tokens of prompt and answer together.",
        "Shorten the prompt (client.server.tokenize() counts it), let the server cut it by "
        "extra_body={{'truncate_prompt_tokens': -1}}, or start the server with a larger --max-model-len if the model has it.",
    ),
    Rule(
        "prompt-and-answer-too-long",
        "the prompt and what is asked for are together longer than the model's context (before 0.32)",
        (
            said(
                r"context length is (?P<most>\d+) tokens\. However, you requested (?P<asked>\d+) \w+.*?"
                r"contains (?P<count>(at least )?\d+) (input )?(?P<unit>\w+)"
            ),
        ),
        "The prompt has {count} {unit}, {asked} tokens of answer were asked for, and {place} takes {most} tokens of both "
        "together.",
        "Ask for fewer tokens (max_tokens{room}), shorten the prompt, or start the server with a larger --max-model-len.",
    ),
    Rule(
        "prompt-too-long-otherwise",
        "the prompt is longer than the model's context, in other words",
        (
            said(
                r"(?:Input length \(|prompt length )(?P<count>\d+)\)? exceeds .*?(?:length \(|max_model_len )(?P<most>\d+)"
            ),
        ),
        "The prompt has {count} tokens, and {place} takes {most} tokens of prompt and answer together.",
        "Shorten the prompt (client.server.tokenize() counts it), or start the server with a larger --max-model-len.",
    ),
    Rule(
        "answer-too-long",
        "more tokens are asked for than the model's context has",
        (said(r"(?P<name>max_\w+)=(?P<asked>\d+) cannot be greater than max_model_len=(?P<most>\d+)"),),
        "{name} asks {place} for {asked} tokens, and its context has {most} for prompt and answer together.",
        "Set {name} below {most}, or leave it out: the answer then may use all that the prompt leaves.",
    ),
    Rule(
        "prompt-fills-context",
        "the prompt fills the context exactly, and no token is left for the answer",
        (said(r"max_tokens must be at least 1, got 0"), when(lambda case: case.asked.get("max_tokens") != 0)),
        "The prompt fills the context of {place} to the last token, and leaves none for the answer.",
        "Shorten the prompt, or start the server with a larger --max-model-len if the model has it.",
    ),
    Rule(
        "no-images",
        "an image, audio or video, of a model that takes text only",
        (said(r"(?:^|\s)(?P<name>\S+) is not a multimodal model"),),
        "The model {name} of {place} takes text only.",
        "Leave the image (audio, video) out, or ask a model that takes it.",
    ),
    Rule(
        "too-many-images",
        "more images, audios or videos than the server allows in one prompt",
        (said(r"At most (?P<most>\d+) (?P<what>\w+)\(s\) may be provided"),),
        "{place} takes {most} {what}(s) in one prompt.",
        "Send fewer, or start the server with --limit-mm-per-prompt '{{\"{what}\": ...}}'.",
    ),
    Rule(
        "dimensions-fixed",
        "`dimensions`, of a model whose vectors have one length",
        (said("does not support Matryoshka"),),
        "The model of {place} makes vectors of one length only, and refuses `dimensions`.",
        "Leave `dimensions` out; with LangChain and others, where their setting of that name stands.",
    ),
    Rule(
        "dimensions-out-of-range",
        "`dimensions` beyond the length of the model's vectors",
        (said(r"only supports dimensions in range \[1, (?P<most>\d+)\], got (?P<asked>-?\d+)"),),
        "The model of {place} makes vectors of 1 to {most} dimensions, not of {asked}.",
        "Set `dimensions` to {most} at most, or leave it out.",
    ),
    Rule(
        "dimensions-other",
        "`dimensions` that the model does not have",
        (said(r"only supports Matryoshka dimensions \[(?P<lengths>.*?)\], got (?P<asked>-?\d+)"),),
        "The model of {place} makes no vectors of {asked} dimensions.",
        "Set `dimensions` to one of {lengths}, or leave it out.",
    ),
    Rule(
        "grammar",
        "a schema, regex or grammar that no grammar can be made of; in a stream too",
        (
            said(
                r"^Grammar error|Invalid grammar|Failed to (transform|convert) .* (grammar|regex)"
                r"|(?P<unsupported>features not supported by)|does not support grammar"
            ),
        ),
        "{place} cannot make a grammar of what the answer is to be held to: {said}",
        "Correct the schema, regex or grammar in response_format or structured_outputs; what one backend lacks another may "
        'have: start the server with --structured-outputs-config \'{{"backend": "guidance"}}\'.',
    ),
    Rule(
        "structured-several",
        "none or several constraints in `structured_outputs`",
        (
            said(
                r"(only|must) use one kind of (structured outputs constraint|constraints for structured outputs)"
            ),
        ),
        "{place} takes exactly one constraint for an answer.",
        "Keep one of json, regex, choice, grammar, json_object and structural_tag in structured_outputs, and none of them "
        "beside response_format.",
    ),
    Rule(
        "template-not-trusted",
        "a chat template in the request",
        (said("--trust-request-chat-template is not set"),),
        "{place} does not take a chat template from a request.",
        "Leave chat_template out, or start the server with --trust-request-chat-template (trusted clients only).",
    ),
    Rule(
        "media-options-not-trusted",
        "options for reading media in the request",
        (said(r"Per-request (?P<name>\w+) are disabled"),),
        "{place} does not take {name} from a request.",
        "Leave {name} out, or start the server with --trust-request-mm-kwargs (trusted clients only).",
    ),
    Rule(
        "prompt-embeds-off",
        "embeddings in the place of a prompt",
        (said("--enable-prompt-embeds"),),
        "{place} does not take embeddings in the place of a prompt.",
        "Start the server with --enable-prompt-embeds.",
    ),
    Rule(
        "too-many-logprobs",
        "more logprobs than the server allows",
        (said(r"(?P<asked>\d+), which is greater than max allowed: (?P<most>\d+)"),),
        "{place} gives {most} logprobs for a token at most; {asked} were asked for.",
        "Ask for fewer (top_logprobs; logprobs for completions), or start the server with --max-logprobs {asked}.",
    ),
    Rule(
        "scale-out-off",
        "a route that takes --enable-scale-out",
        (said("Scale-out endpoints are disabled"),),
        "{place} was not started for {route}.",
        "Start the server with --enable-scale-out.",
    ),
)

LOAD: tuple[Rule, ...] = (
    Rule(
        "engine-dead",
        "the engine behind the server has failed",
        (
            either(
                being("engine dead"),
                said(
                    r"(?i)EngineCore encountered an issue|EngineDeadError|Engine loop (is not running|has died)"
                ),
            ),
        ),
        "The engine of {place} has failed, and does not come back by itself.",
        "Start the server again; what the engine failed of stands in the server's log, before its last error.",
    ),
    Rule(
        "asleep",
        "the server says that its engine sleeps, as doctor asks it",
        (being("asleep"),),
        "{place} is asleep, and lets requests wait until it is woken.",
        "Wake it: client.server.wake_up(), or POST /wake_up.",
    ),
    Rule(
        "queue-full",
        "the queue is full (--max-num-queued-reqs)",
        (said("currently busy and cannot accept new requests"),),
        "The queue of {place} is full.",
        "Ask less at once or later, give the client more replicas (base_url=[...]), or start the server with a larger "
        "--max-num-queued-reqs.",
    ),
    Rule(
        "scaling",
        "the server is being scaled",
        (said("currently scaling"),),
        "{place} is being scaled and takes no requests meanwhile.",
        "Ask again in a while, or give the client more replicas (base_url=[...]).",
    ),
)

ROUTES: tuple[Rule, ...] = (
    Rule(
        "tls-wanted",
        "http to a port that speaks TLS, and whose server says so",
        (status(400), when(_wants_tls)),
        "{place} speaks TLS, and was asked in plain http.",
        "Write https:// in place of http://: base_url='{other_scheme}'. {address_from}",
    ),
    Rule(
        "client-certificate-wanted",
        "the server wants a client certificate, and says so",
        (status(400, 403), when(_wants_certificate)),
        "{place} wants a client certificate.",
        "Give one of an authority that it knows: tls=Tls(client_cert='client.pem'), or the pair (certificate, key).",
    ),
    Rule(
        "doubled-v1",
        "404, and /v1 stands twice in the path",
        (when(_lacks_route), when(lambda case: "/v1/v1" in case.path)),
        "{place} has no route {path}: its /v1 stands there twice.",
        "base_url has its /v1 already ({server}): leave it out of the path of your call. {address_from}",
    ),
    Rule(
        "missing-v1",
        "404, and there is no /v1 in the path",
        (
            when(_is_base_in_doubt),
            lacks(lambda case: case.has_v1),
            lacks(lambda case: case.known_route),
        ),
        "{place} has no route {path}: the base path {base_path} of the address lacks its /v1.",
        "Write base_url='{better_address}'. {address_from}",
    ),
    Rule(
        "base-path",
        "404 for a route that every vLLM server has, below a base path of one's own",
        (when(_is_base_in_doubt), when(lambda case: case.is_of_api and not case.kind_needed)),
        "{place} has no route {path}: its API is not at the base path {base_path} of the address.",
        "Write base_url='{better_address}'. {address_from}",
    ),
    Rule(
        "base-path-or-kind",
        "404 for a route of one kind of server, below a base path of one's own under which nothing was found yet",
        (when(_is_base_in_doubt), when(lambda case: case.is_of_api)),
        "{place} has no route {path}: its API is not at the base path {base_path} of the address, or it does not have {route}.",
        "Write base_url='{better_address}' if its API is there; else set base_url to a server {brought_by}. {address_from}",
    ),
    Rule(
        "missing-api",
        "a part of the OpenAI API that vLLM does not have",
        (when(_lacks_route), when(lambda case: case.is_missing_api)),
        "{place} has no route {path}: vLLM does not have this part of the OpenAI API.",
        "Use a server that has it; vLLM serves chat, completions, responses, embeddings and audio transcriptions.",
    ),
    Rule(
        "other-kind-known",
        "a route that this server does not serve, whose facts are known (client.server.info())",
        (when(_lacks_of_kind), when(lambda case: case.does)),
        "{place} has no {route}: this server {does}; {service_needs} a {kind_needed} server.",
        "Set base_url to a server {brought_by}.",
    ),
    Rule(
        "other-kind",
        "a route that this kind of server does not serve",
        (when(_lacks_of_kind),),
        "{place} has no {route}: this server {does_not}; {service_needs} a {kind_needed} server.",
        "Set base_url to a server {brought_by}.",
    ),
    Rule(
        "api-not-supported",
        "a route that the model cannot answer (before 0.20)",
        (said(LACKS_API), when(lambda case: case.brought_by)),
        "{place} does not serve {route} with its model.",
        "Set base_url to a server {brought_by}.",
    ),
    Rule(
        "method",
        "405: the route takes another method",
        (status(405), when(lambda case: case.is_frameworks)),
        "{place} does not take this request at {path}.",
        "vLLM's routes take POST where something is asked of a model, and GET where something is looked up; client.models.list() "
        "and the methods of client.server use the right one.",
    ),
    Rule(
        "route-optional",
        "a route that is there with an option, a variable or a kind of model",
        (when(_lacks_route), when(lambda case: case.is_frameworks), when(lambda case: case.brought_by)),
        "{place} has no route {path}.",
        "vLLM has {route} {brought_by}; a gateway before it must let it through.",
    ),
    Rule(
        "route-unknown",
        "a route that vLLM does not have",
        (when(_lacks_route), when(lambda case: case.is_frameworks)),
        "{place} has no route {path}.",
        "Check the path of your call, and base_url ({server}). vLLM has some routes only with an option or a kind of model: "
        "client.server.info() tells what this one serves.",
    ),
    Rule(
        "route-foreign",
        "404 or 405 that is not vLLM's",
        (when(_lacks_route), when(lambda case: case.brought_by)),
        "The answer is not vLLM's: {place} has no route {path} (status {status}).",
        "vLLM has {route} {brought_by}; a gateway before it must let it through. {address_from}",
    ),
    Rule(
        "route-foreign-unknown",
        "404 or 405 that is not vLLM's, for a route that vLLM does not have",
        (when(_lacks_route),),
        "The answer is not vLLM's: {place} has no route {path} (status {status}).",
        "Is it the address of a vLLM server, and does a gateway before it pass the route on? {address_from}",
    ),
    Rule(
        "barred",
        "403 without words, as none of vLLM's is",
        (status(403), lacks(lambda case: case.said)),
        "The answer is not vLLM's: {place} bars {path}.",
        "A gateway before the server must let it through, or wants credentials of its own (default_headers=).",
    ),
    Rule(
        "barred-said",
        "any other 403",
        (status(403),),
        "{place} bars {path} ({said}).",
        "A gateway before the server must let it through, or wants credentials of its own (default_headers=).",
    ),
)

GATEWAYS: tuple[Rule, ...] = (
    Rule(
        "proxy-answered",
        "an error that is not vLLM's came through a proxy",
        (being("status"), when(_is_foreign), when(lambda case: case.proxy)),
        "The answer to {path} of {place} is not vLLM's (status {status}): it came through the proxy {proxy} from {variable}.",
        "If the server can be reached without the proxy, add {host} to NO_PROXY.",
    ),
    Rule(
        "gateway-slow",
        "504 of a gateway",
        (status(504), when(_is_foreign)),
        "A gateway at {place} gave up waiting for the server behind it ({status}).",
        "Stream the answer (stream=True, or long_calls='stream'), ask for less, or raise the gateway's timeout.",
    ),
    Rule(
        "gateway-without-server",
        "502 or 503 of a gateway",
        (status(502, 503), when(_is_foreign)),
        "A gateway at {place} cannot reach the server behind it ({status}).",
        "Is the server there running and loaded? Wait for it with client.wait_until_ready() or `vllm-connect wait {server}`.",
    ),
    Rule(
        "too-many-requests",
        "429, which vLLM itself never answers",
        (status(429),),
        "{place} was asked more often than it allows.",
        "Ask less at once; the limit is of the gateway before the server, as vLLM has none.",
    ),
    Rule(
        "too-large-request",
        "413: the request is larger than a gateway allows",
        (status(413),),
        "The request is larger than {place} takes.",
        "Send less, or raise the limit of the gateway before the server (nginx: client_max_body_size).",
    ),
    Rule(
        "internal-error",
        "500, without a cause",
        (status(500), when(lambda case: not case.is_handlers)),
        "{place} failed at {path}, and does not say of what.",
        "The cause stands in the server's log.",
    ),
    Rule(
        "page",
        "an error that is a page of HTML",
        (being("status"), when(lambda case: case.is_html)),
        "The answer to {path} is not vLLM's: {place} answered with a page of HTML (status {status}).",
        "Is it the address of a vLLM server, and does a gateway before it pass the route on? {address_from}",
    ),
)

OTHERS: tuple[Rule, ...] = (
    Rule(
        "parameter",
        "a parameter that the server refuses",
        (
            being("status", "within"),
            when(lambda case: case.status in (400, 422)),
            when(lambda case: case.param),
        ),
        "{place} refused the request for its `{param}`: {said}",
        "Correct `{param}`.",
    ),
    Rule(
        "server-failed",
        "a server's own error",
        (
            being("status", "within"),
            when(lambda case: case.status in (500, 503)),
            when(lambda case: case.said),
        ),
        "{place} failed: {said}",
        "The cause stands in the server's log.",
    ),
    Rule(
        "said",
        "any other error in the server's words",
        (being("status"), when(lambda case: case.said)),
        "{place} answered {path} with status {status}: {said}",
        "More stands in the log of the server, or of a gateway before it.",
    ),
    Rule(
        "said-within",
        "any other error within an answer",
        (being("within"), when(lambda case: case.said)),
        "{place} put an error into its answer: {said}",
        "The cause stands in the server's log.",
    ),
    Rule(
        "nothing-said",
        "any other error, without words",
        (being("status", "within"),),
        "{place} answered {path} with an error (status {status}), and says nothing.",
        "The cause stands in the log of the server, or of a gateway before it.",
    ),
    Rule(
        "answer-cut-short",
        "the SDK's error of a text that is to be parsed, and was cut short by max_tokens",
        (being("other"), when(lambda case: "length limit was reached" in case.happened)),
        "The answer of {place} was cut short by its limit of tokens, so that it cannot be parsed.",
        "Raise max_tokens, or leave it out.",
    ),
    Rule("sdk", "an error of the SDK's own", (being("other"),), "{happened}."),
)

REFUSING: tuple[Rule, ...] = (*KEYS, *MODELS, *PARAMETERS, *LOAD, *ROUTES, *GATEWAYS, *OTHERS)
