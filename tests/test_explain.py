"""Every error says what happened, to which server, and what to do: each rule of `explain`, provoked over a real socket."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import pickle
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import anyio
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runs import SHELLS
from tests.situations import KEY, MODEL, SITUATIONS, Ground, Step, chat, info, post, stream
from vllm_connect import AnswerIncomplete, AsyncOpenAI, OpenAI
from vllm_connect.explain.case import Case, Kind
from vllm_connect.explain.rules import RULES, told
from vllm_connect.facts import ServedModel
from vllm_connect.settings import merge
from vllm_connect.simulator import Reply
from vllm_connect.wire.proxy import proxy_for

every_shell = pytest.mark.parametrize("shell", SHELLS)


class Texts(NamedTuple):
    explanation: str
    fix: str


# Each rule -> what happened, and what to do. $root is the server's address without /v1, $port its port.
TOLD: dict[str, Texts] = {
    "proxy-unreachable": Texts(
        "No connection to https://gpu1.test/v1: no connection to the proxy http://127.0.0.1:$port (from "
        "HTTPS_PROXY): 127.0.0.1:$port: Connection refused.",
        "Correct HTTPS_PROXY, or add gpu1.test to NO_PROXY if the server can be reached without the proxy.",
    ),
    "proxy-credentials": Texts(
        "No connection to https://gpu1.test/v1: the proxy http://127.0.0.1:$port wants credentials (407).",
        "For its credentials, write them into HTTPS_PROXY, as http://user:password@127.0.0.1:$port; or add "
        "gpu1.test to NO_PROXY if the server can be reached without the proxy.",
    ),
    "proxy-refused": Texts(
        "No connection to https://gpu1.test/v1: the proxy http://127.0.0.1:$port answered 502 when asked for "
        "gpu1.test:443: it cannot reach the server; the proxy is from HTTPS_PROXY.",
        "If the server can be reached without the proxy, add gpu1.test to NO_PROXY.",
    ),
    "unknown-host": Texts(
        "No connection to http://no-such-host.invalid/v1: its host name is not known.",
        "Check its spelling, and whether this machine can look no-such-host.invalid up. The address was given "
        "by argument.",
    ),
    "refused-here": Texts(
        "No connection to $root/v1: connection refused. Nothing listens there: the server is not running, or "
        "still loading.",
        "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait $root/v1`; within a "
        "container 127.0.0.1 is the container itself. The address was given by argument.",
    ),
    "refused": Texts(
        "No connection to unix://$socket/v1: connection refused. Nothing listens there: the server is not "
        "running, or still loading.",
        "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait unix://$socket/v1`. "
        "The address was given by argument.",
    ),
    "no-socket": Texts(
        "No connection to unix:///nowhere/vllm.sock/v1: no such unix socket.",
        "Was the server started with --uds /nowhere/vllm.sock? The address was given by argument.",
    ),
    "certificate-expired": Texts(
        "No connection to $root/v1: its certificate is not trusted: certificate has expired.",
        "Renew the certificate on the server; if it is new, start the server again or look at this machine's "
        "clock.",
    ),
    "certificate-not-yet-valid": Texts(
        "No connection to $root/v1: its certificate is not trusted: certificate is not yet valid.",
        "Look at this machine's clock, and at the certificate's first day.",
    ),
    "certificate-name": Texts(
        "No connection to $root/v1: its certificate is not trusted: IP address mismatch, certificate is not "
        "valid for '127.0.0.1'.",
        "Write a name that the certificate holds in base_url, or give the server a certificate for 127.0.0.1. "
        "The address was given by argument.",
    ),
    "certificate-other-authority": Texts(
        "No connection to $root/v1: its certificate is not trusted: unable to get local issuer certificate.",
        "$folder/other.pem (tls.ca) does not hold the authority of this certificate: put the authority's own "
        "certificate there.",
    ),
    "certificate-authority": Texts(
        "No connection to $root/v1: its certificate is not trusted: unable to get local issuer certificate.",
        "For a private authority give its certificate: tls=Tls(ca='ca.pem'), or SSL_CERT_FILE=ca.pem in the "
        "environment.",
    ),
    "client-certificate-missing": Texts(
        "$root/v1 did not answer: TLS failed: TLSV13_ALERT_CERTIFICATE_REQUIRED. The server wants a client "
        "certificate.",
        "Give one: tls=Tls(client_cert='client.pem'), or the pair (certificate, key).",
    ),
    "client-certificate-refused": Texts(
        "$root/v1 did not answer: TLS failed: TLSV1_ALERT_UNKNOWN_CA. The server does not accept the client "
        "certificate.",
        "Give one of an authority that the server knows (its --ssl-ca-certs): "
        "tls=Tls(client_cert='client.pem').",
    ),
    "tls-to-plain": Texts(
        "No connection to $root/v1: TLS failed: WRONG_VERSION_NUMBER. It speaks no TLS, but probably plain "
        "http.",
        "If so, write http:// in place of https://: base_url='http://127.0.0.1:$port/v1'. The address was "
        "given by argument.",
    ),
    "tls-failed": Texts(
        "No connection to $root/v1: TLS failed: TLSV1_ALERT_PROTOCOL_VERSION.",
        "Is it an https server, of TLS 1.2 or newer? The address was given by argument.",
    ),
    "plain-to-tls": Texts(
        "What $root/v1 answered cannot be used: its head is not HTTP/1.1 (Expected HTTP/, RTSP/ or ICE/). "
        "Something else than an http server listens there, or it speaks TLS.",
        "If it speaks TLS, write https:// in place of http://: base_url='https://127.0.0.1:$port/v1'; else "
        "correct the port. The address was given by argument.",
    ),
    "not-http": Texts(
        "What $root/v1 answered cannot be used: its head is not HTTP/1.1 (Expected HTTP/, RTSP/ or ICE/). "
        "Something else than an http server listens there.",
        "Correct the port. The address was given by argument.",
    ),
    "closed-plain": Texts(
        "$root/v1 did not answer: the server closed the connection without an answer. The server went away, "
        "or it speaks TLS there.",
        "If it speaks TLS, write https:// in place of http://: base_url='https://127.0.0.1:$port/v1'; else "
        "look at its log. The address was given by argument.",
    ),
    "closed-tls": Texts(
        "$root/v1 did not answer: the server closed the connection without an answer. The server went away, "
        "or it wants a client certificate.",
        "If it wants a certificate, give one: tls=Tls(client_cert='client.pem'); else look at its log.",
    ),
    "closed-tls-certified": Texts(
        "$root/v1 did not answer: the server closed the connection without an answer. The server went away, "
        "or it does not accept the client certificate.",
        "If it does not, give one of an authority that it knows (its --ssl-ca-certs): "
        "tls=Tls(client_cert='client.pem'); else look at its log.",
    ),
    "lost": Texts(
        "$root/v1 did not answer: the server closed the connection without an answer.",
        "Look at the server's log, and at what stands between (a gateway, a firewall); then ask again.",
    ),
    "malformed": Texts(
        "What $root/v1 answered cannot be used: its head is not HTTP/1.1 (Duplicate Content-Length).",
        "Look at what stands at that address: a server, or a gateway before it, writes broken HTTP. The "
        "address was given by argument.",
    ),
    "timer-connect": Texts(
        "No connection to $root/v1 came about within 0.3 s.",
        "Is the host up, and the port not blocked (a firewall)? The timer is timeouts.connect. The address "
        "was given by argument.",
    ),
    "timer-asleep": Texts(
        "$root/v1 sent no first byte of its answer within 0.3 s.",
        "It may be asleep, when vLLM lets requests wait: ask client.server.is_sleeping(), and wake it by "
        "client.server.wake_up(). Else it is busy or the prompt long; the timer is timeouts.first_token.",
    ),
    "timer-first-token": Texts(
        "$root/v1 sent no first byte of its answer within 0.3 s.",
        "It may be busy or the prompt long; the timer is timeouts.first_token. (A server with sleep mode may "
        "be asleep: client.server.is_sleeping().)",
    ),
    "timer-between-tokens": Texts(
        "The stream from $root/v1 stood still for 0.3 s.",
        "The server, or a gateway before it, hangs: look at its log. If it pauses so long by right, raise "
        "timeouts.between_tokens.",
    ),
    "timer-total": Texts(
        "The call to $root/v1 was not complete within its total of 0.3 s.",
        "For longer answers raise timeouts.total (or timeout=), or stream the answer. (A server with sleep "
        "mode may be asleep: client.server.is_sleeping().)",
    ),
    "not-ready": Texts(
        "$root/v1 was not ready within 0.1 s; last: connection refused.",
        "Large models load for many minutes: give more time, and look at the server's own log.",
    ),
    "redirect-to-https": Texts(
        "$root/v1 answered with a redirect (307) to https://127.0.0.1/v1/chat/completions, which is not "
        "followed: key and prompt go only to the server you named.",
        "Write base_url='https://127.0.0.1/v1'. The address was given by argument.",
    ),
    "redirect-of-slash": Texts(
        "$root/v1 answered with a redirect (307) to /v1/chat/completions/, which is not followed: key and "
        "prompt go only to the server you named.",
        "Write the path of your call as it is there: vLLM's have no slash at their end; what wants one is a "
        "gateway before it.",
    ),
    "redirect": Texts(
        "$root/v1 answered with a redirect (307) to http://other.invalid/v1/chat/completions, which is not "
        "followed: key and prompt go only to the server you named.",
        "If that is where your server is, write base_url='http://other.invalid/v1'. The address was given "
        "by argument.",
    ),
    "page-of-success": Texts(
        "$root answered /v1/chat/completions with a page of HTML that is not vLLM's (text/html).",
        "A page for people (of a login, of a chat application) is no vLLM server: correct base_url, or give "
        "the gateway what it wants (default_headers=). The address was given by argument.",
    ),
    "shape": Texts(
        "$root answered /v1/chat/completions with something that is not vLLM's (application/json): its list "
        "of choices is empty.",
        "Is it the address of a vLLM server, and does a gateway before it pass the route on? The address was "
        "given by argument.",
    ),
    "too-large": Texts(
        "The answer of $root/v1 passed the limit `event` of 65,536 and was not read further.",
        "If it is meant to be that large, set limits=Limits(event=...) to more.",
    ),
    "cut": Texts(
        "The answer of $root/v1 is not complete: the connection ended before the answer was complete.",
        "What came of it is in the error's `partial` (18 characters): ask again, or go on from there. Why "
        "it broke off stands in the log of the server, or of a gateway before it.",
    ),
    "cut-unread": Texts(
        "The answer of $root/v1 is not complete: the connection ended before the answer was complete.",
        "Ask again. Why it broke off stands in the log of the server, or of a gateway before it.",
    ),
    "own-header-refused": Texts(
        "$root refused the Authorization header that your code gives.",
        "Leave the header out and pass the key as api_key, or give `Bearer` and the key that the server was "
        "started with.",
    ),
    "key-refused": Texts(
        "$root refused the API key from VLLM_API_KEY.",
        "Put there the key that the server was started with (--api-key, or VLLM_API_KEY in its environment).",
    ),
    "key-of-openai": Texts(
        "$root wants an API key and none was sent (OPENAI_API_KEY was not sent: it is a key of the OpenAI "
        "platform and the server is not OpenAI's).",
        "Set this server's own key as VLLM_API_KEY beside VLLM_BASE_URL, or pass api_key; "
        "use_openai_api_key=True sends the other all the same.",
    ),
    "key-withheld": Texts(
        "$root wants an API key and none was sent (OPENAI_API_KEY was not sent: OPENAI_API_KEY goes only with "
        "OPENAI_BASE_URL or an address given by argument).",
        "If it is this server's, set it where the address is set: VLLM_API_KEY beside VLLM_BASE_URL, or pass "
        "api_key.",
    ),
    "key-missing": Texts(
        "$root wants an API key and none was sent.",
        "Set VLLM_API_KEY beside VLLM_BASE_URL, or pass api_key.",
    ),
    "key-in-clear": Texts(
        "The API key was not sent: http://203.0.113.9:8000 is plain http to the public address 203.0.113.9, "
        "where anyone on the way can read it.",
        "Use https, or set allow_insecure_key=True if the way is safe.",
    ),
    "key-of-another": Texts(
        "The API key belongs to $root and is not sent to http://other.invalid.",
        "For another server make another client, or give the request its own Authorization header.",
    ),
    "adapter-not-loaded": Texts(
        "$root has no LoRA adapter sql loaded.",
        "client.models.list() shows the adapters that are; load one by client.server.load_lora_adapter(name, "
        "path).",
    ),
    "adapter-not-found": Texts(
        "$root cannot load the LoRA adapter: Loading lora sql failed: No adapter found for /models/sql.",
        "The path is one of the server's own machine, and has to hold adapter_config.json.",
    ),
    "adapters-off": Texts(
        "$root serves no LoRA adapters.",
        "Start the server with --enable-lora.",
    ),
    "model-not-served-adapters": Texts(
        "$root does not serve the model `sql-adaptor`, nor has it an adapter of that name loaded.",
        "Name one that it serves: sql-adapter. An adapter is loaded by client.server.load_lora_adapter(name, "
        "path).",
    ),
    "model-not-served": Texts(
        "$root does not serve the model `Qwen/Qwen3-8B-Instruct`.",
        "Name one that it serves: qwen3-8b. model_aliases={'Qwen/Qwen3-8B-Instruct': 'qwen3-8b'} maps the "
        "name in your code to it.",
    ),
    "model-unknown": Texts(
        "$root does not serve the model `sim-model`.",
        "client.models.list() shows the names that this server accepts; leave `model` out to have its only "
        "one.",
    ),
    "tools-auto-off": Texts(
        "$root was not started for automatic tool choice.",
        "Start the server with --enable-auto-tool-choice --tool-call-parser PARSER, where PARSER is the one "
        "of the model's family (hermes for Qwen 2.5 and 3, llama3_json for Llama 3).",
    ),
    "tools-parser-missing": Texts(
        "$root was started without a parser for tool calls.",
        "Start the server with --tool-call-parser PARSER (and --enable-auto-tool-choice), where PARSER is the "
        "one of the model's family (hermes for Qwen 2.5 and 3, llama3_json for Llama 3).",
    ),
    "reasoning-parser-missing": Texts(
        "$root was started without a reasoning parser, so that it cannot count thinking.",
        "Start the server with --reasoning-parser PARSER (qwen3, deepseek_r1, ...), or leave "
        "thinking_token_budget out.",
    ),
    "prompt-too-long": Texts(
        "The prompt has at least 65 tokens, and $root takes 64 tokens of prompt and answer together.",
        "Shorten the prompt (client.server.tokenize() counts it), let the server cut it by "
        "extra_body={'truncate_prompt_tokens': -1}, or start the server with a larger --max-model-len if the "
        "model has it.",
    ),
    "prompt-and-answer-too-long": Texts(
        "The prompt has 64 characters, 60 tokens of answer were asked for, and $root takes 64 tokens of both "
        "together.",
        "Ask for fewer tokens (max_tokens), shorten the prompt, or start the server with a larger "
        "--max-model-len.",
    ),
    "prompt-too-long-otherwise": Texts(
        "The prompt has 70 tokens, and $root takes 64 tokens of prompt and answer together.",
        "Shorten the prompt (client.server.tokenize() counts it), or start the server with a larger "
        "--max-model-len.",
    ),
    "answer-too-long": Texts(
        "max_tokens asks $root for 500 tokens, and its context has 64 for prompt and answer together.",
        "Set max_tokens below 64, or leave it out: the answer then may use all that the prompt leaves.",
    ),
    "prompt-fills-context": Texts(
        "The prompt fills the context of $root to the last token, and leaves none for the answer.",
        "Shorten the prompt, or start the server with a larger --max-model-len if the model has it.",
    ),
    "no-images": Texts(
        "The model sim-model of $root takes text only.",
        "Leave the image (audio, video) out, or ask a model that takes it.",
    ),
    "too-many-images": Texts(
        "$root takes 1 image(s) in one prompt.",
        "Send fewer, or start the server with --limit-mm-per-prompt '{\"image\": ...}'.",
    ),
    "dimensions-fixed": Texts(
        "The model of $root makes vectors of one length only, and refuses `dimensions`.",
        "Leave `dimensions` out; with LangChain and others, where their setting of that name stands.",
    ),
    "dimensions-out-of-range": Texts(
        "The model of $root makes vectors of 1 to 384 dimensions, not of 500.",
        "Set `dimensions` to 384 at most, or leave it out.",
    ),
    "dimensions-other": Texts(
        "The model of $root makes no vectors of 100 dimensions.",
        "Set `dimensions` to one of 64, 128, or leave it out.",
    ),
    "grammar": Texts(
        "$root cannot make a grammar of what the answer is to be held to: Grammar error: at 1(8): invalid "
        'regex "(" (in regex): regex parse error: missing ), unterminated subpattern at position 0.',
        "Correct the schema, regex or grammar in response_format or structured_outputs; what one backend "
        'lacks another may have: start the server with --structured-outputs-config \'{"backend": "guidance"}\'.',
    ),
    "structured-several": Texts(
        "$root takes exactly one constraint for an answer.",
        "Keep one of json, regex, choice, grammar, json_object and structural_tag in structured_outputs, and "
        "none of them beside response_format.",
    ),
    "template-not-trusted": Texts(
        "$root does not take a chat template from a request.",
        "Leave chat_template out, or start the server with --trust-request-chat-template (trusted clients "
        "only).",
    ),
    "media-options-not-trusted": Texts(
        "$root does not take mm_processor_kwargs from a request.",
        "Leave mm_processor_kwargs out, or start the server with --trust-request-mm-kwargs (trusted clients "
        "only).",
    ),
    "prompt-embeds-off": Texts(
        "$root does not take embeddings in the place of a prompt.",
        "Start the server with --enable-prompt-embeds.",
    ),
    "too-many-logprobs": Texts(
        "$root gives 20 logprobs for a token at most; 21 were asked for.",
        "Ask for fewer (top_logprobs; logprobs for completions), or start the server with --max-logprobs 21.",
    ),
    "scale-out-off": Texts(
        "$root was not started for /v1/chat/completions/render.",
        "Start the server with --enable-scale-out.",
    ),
    "engine-dead": Texts(
        "The engine of $root has failed, and does not come back by itself.",
        "Start the server again; what the engine failed of stands in the server's log, before its last error.",
    ),
    "queue-full": Texts(
        "The queue of $root is full.",
        "Ask less at once or later, give the client more replicas (base_url=[...]), or start the server with "
        "a larger --max-num-queued-reqs.",
    ),
    "scaling": Texts(
        "$root is being scaled and takes no requests meanwhile.",
        "Ask again in a while, or give the client more replicas (base_url=[...]).",
    ),
    "tls-wanted": Texts(
        "$root speaks TLS, and was asked in plain http.",
        "Write https:// in place of http://: base_url='https://127.0.0.1:$port/v1'. The address was given by "
        "argument.",
    ),
    "client-certificate-wanted": Texts(
        "$root wants a client certificate.",
        "Give one of an authority that it knows: tls=Tls(client_cert='client.pem'), or the pair (certificate, "
        "key).",
    ),
    "doubled-v1": Texts(
        "$root has no route /v1/v1/chat/completions: its /v1 stands there twice.",
        "base_url has its /v1 already ($root/v1): leave it out of the path of your call. The address was "
        "given by argument.",
    ),
    "missing-v1": Texts(
        "$root has no route /llm/chat/completions: the base path /llm of the address lacks its /v1.",
        "Write base_url='$root/llm/v1'. The address was given by argument.",
    ),
    "base-path": Texts(
        "$root has no route /llm/v1/models: its API is not at the base path /llm/v1 of the address.",
        "Write base_url='$root/v1'. The address was given by argument.",
    ),
    "base-path-or-kind": Texts(
        "$root has no route /llm/v1/chat/completions: its API is not at the base path /llm/v1 of the "
        "address, or it does not have /v1/chat/completions.",
        "Write base_url='$root/v1' if its API is there; else set base_url to a server with a model that "
        "generates text (--runner generate). The address was given by argument.",
    ),
    "missing-api": Texts(
        "$root has no route /v1/moderations: vLLM does not have this part of the OpenAI API.",
        "Use a server that has it; vLLM serves chat, completions, responses, embeddings and audio "
        "transcriptions.",
    ),
    "other-kind-known": Texts(
        "$root has no /v1/chat/completions: this server embeds and scores; chat needs a generate server.",
        "Set base_url to a server with a model that generates text (--runner generate).",
    ),
    "other-kind": Texts(
        "$root has no /v1/chat/completions: this server generates no text; chat needs a generate server.",
        "Set base_url to a server with a model that generates text (--runner generate).",
    ),
    "api-not-supported": Texts(
        "$root does not serve /v1/embeddings with its model.",
        "Set base_url to a server with an embedding model (--runner pooling; --convert embed makes one of a "
        "text model).",
    ),
    "method": Texts(
        "$root does not take this request at /v1/chat/completions.",
        "vLLM's routes take POST where something is asked of a model, and GET where something is looked up; "
        "client.models.list() and the methods of client.server use the right one.",
    ),
    "route-optional": Texts(
        "$root has no route /wake_up.",
        "vLLM has /wake_up with --enable-sleep-mode and the variable VLLM_SERVER_DEV_MODE=1; a gateway before "
        "it must let it through.",
    ),
    "route-unknown": Texts(
        "$root has no route /v1/nowhere.",
        "Check the path of your call, and base_url ($root/v1). vLLM has some routes only with an option or "
        "a kind of model: client.server.info() tells what this one serves.",
    ),
    "route-foreign": Texts(
        "The answer is not vLLM's: $root has no route /v1/chat/completions (status 404).",
        "vLLM has /v1/chat/completions with a model that generates text (--runner generate); a gateway before "
        "it must let it through. The address was given by argument.",
    ),
    "route-foreign-unknown": Texts(
        "The answer is not vLLM's: $root has no route /v1/nowhere (status 404).",
        "Is it the address of a vLLM server, and does a gateway before it pass the route on? The address was "
        "given by argument.",
    ),
    "barred": Texts(
        "The answer is not vLLM's: $root bars /v1/chat/completions.",
        "A gateway before the server must let it through, or wants credentials of its own (default_headers=).",
    ),
    "barred-said": Texts(
        "$root bars /v1/chat/completions (Forbidden).",
        "A gateway before the server must let it through, or wants credentials of its own "
        "(default_headers=).",
    ),
    "proxy-answered": Texts(
        "The answer to /v1/chat/completions of http://gpu1.test:8000 is not vLLM's (status 502): it came "
        "through the proxy $proxy from HTTP_PROXY.",
        "If the server can be reached without the proxy, add gpu1.test to NO_PROXY.",
    ),
    "gateway-slow": Texts(
        "A gateway at $root gave up waiting for the server behind it (504).",
        "Stream the answer (stream=True, or long_calls='stream'), ask for less, or raise the gateway's "
        "timeout.",
    ),
    "gateway-without-server": Texts(
        "A gateway at $root cannot reach the server behind it (502).",
        "Is the server there running and loaded? Wait for it with client.wait_until_ready() or `vllm-connect "
        "wait $root/v1`.",
    ),
    "too-many-requests": Texts(
        "$root was asked more often than it allows.",
        "Ask less at once; the limit is of the gateway before the server, as vLLM has none. It asks not to be "
        "asked again for 99999 s.",
    ),
    "too-large-request": Texts(
        "The request is larger than $root takes.",
        "Send less, or raise the limit of the gateway before the server (nginx: client_max_body_size).",
    ),
    "internal-error": Texts(
        "$root failed at /v1/chat/completions, and does not say of what.",
        "The cause stands in the server's log.",
    ),
    "page": Texts(
        "The answer to /v1/chat/completions is not vLLM's: $root answered with a page of HTML (status 418).",
        "Is it the address of a vLLM server, and does a gateway before it pass the route on? The address was "
        "given by argument.",
    ),
    "parameter": Texts(
        "$root refused the request for its `temperature`: temperature must be non-negative, got -1.0. "
        "(parameter=temperature, value=-1.0).",
        "Correct `temperature`.",
    ),
    "server-failed": Texts(
        "$root failed: out of luck.",
        "The cause stands in the server's log.",
    ),
    "said": Texts(
        "$root answered /v1/chat/completions with status 409: Conflict.",
        "More stands in the log of the server, or of a gateway before it.",
    ),
    "said-within": Texts(
        "$root put an error into its answer: something odd.",
        "The cause stands in the server's log.",
    ),
    "nothing-said": Texts(
        "$root answered /v1/chat/completions with an error (status 409), and says nothing.",
        "The cause stands in the log of the server, or of a gateway before it.",
    ),
    "answer-cut-short": Texts(
        "The answer of $root was cut short by its limit of tokens, so that it cannot be parsed.",
        "Raise max_tokens, or leave it out.",
    ),
}

# What only a machine of another kind, or another user, can provoke.
BY_HAND: dict[str, tuple[dict[str, Any], Texts]] = {
    "socket-barred": (
        {
            "kind": "unreachable",
            "happened": "No connection to unix:///run/x.sock/v1: no permission",
            "reason": "no permission",
        },
        Texts(
            "No connection to unix:///run/x.sock/v1: no permission.",
            "Run as a user who may write to /run/x.sock, or give the right: chmod o+w /run/x.sock.",
        ),
    ),
    # Who is asleep answers no call; doctor asks it.
    "asleep": (
        {"kind": "asleep"},
        Texts(
            "http://gpu1 is asleep, and lets requests wait until it is woken.",
            "Wake it: client.server.wake_up(), or POST /wake_up.",
        ),
    ),
    "no-route": (
        {
            "kind": "unreachable",
            "happened": "No connection to it: no route to host",
            "reason": "no route to host",
        },
        Texts(
            "No connection to it: no route to host.",
            "Is this machine in the server's network (VPN, subnet, firewall)? The address was given by argument.",
        ),
    ),
    "no-descriptors": (
        {
            "kind": "unreachable",
            "happened": "No connection to it: this process has no free file descriptor",
            "reason": "this process has no free file descriptor",
        },
        Texts(
            "No connection to it: this process has no free file descriptor: it is this process that has too many files and "
            "connections open.",
            "Raise its limit (`ulimit -n 65536`), or open fewer connections: limits=Limits(connections=...).",
        ),
    ),
    "no-place": (
        {
            "kind": "unreachable",
            "happened": "No connection to it: all connections that `limits` allows are in use",
            "reason": "all connections that `limits` allows are in use",
        },
        Texts(
            "No connection to it: all connections that `limits` allows are in use.",
            "Ask less at once, or allow more: limits=Limits(connections=...).",
        ),
    ),
    "proxy-between": (
        {
            "kind": "unreachable",
            "happened": "No connection to it: the proxy refused",
            "reason": "the proxy refused",
        },
        Texts(
            "No connection to it: the proxy refused, by way of the proxy http://proxy.test:3128 from HTTP_PROXY.",
            "Correct HTTP_PROXY, or add gpu1.test to NO_PROXY if the server can be reached without the proxy.",
        ),
    ),
    "sdk": (
        {
            "kind": "other",
            "happened": "Could not parse response content as the request was rejected by the content filter",
        },
        Texts(
            "Could not parse response content as the request was rejected by the content filter.",
            "",
        ),
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explain")


@pytest.fixture
def ground(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    for name in tuple(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with contextlib.ExitStack() as stack:
        yield Ground(folder, monkeypatch, stack, options={"max_retries": 0})


def failed(shell: str, steps: tuple[Step, ...], options: dict[str, Any]) -> Any:
    """Return the error of the last of some steps on one client; a stream is read to its end."""
    *before, last = steps
    if shell == "asyncio":
        return anyio.run(_afailed, before, last, options)
    with OpenAI(**options) as client:
        for step in before:
            step(client)
        with pytest.raises(openai.OpenAIError) as caught:
            answer = last(client)
            list(answer)
    return caught.value


async def _afailed(before: list[Step], last: Step, options: dict[str, Any]) -> Any:
    async with AsyncOpenAI(**options) as client:
        for step in before:
            await step(client)
        with pytest.raises(openai.OpenAIError) as caught:
            answer = last(client)
            if inspect.isawaitable(answer):
                answer = await answer
            async for _ in answer:
                pass
    return caught.value


@every_shell
@pytest.mark.parametrize("rule", TOLD)
def test_rule(rule: str, shell: str, ground: Ground) -> None:
    """An error says what happened and what to do in its fields, and in its message behind the server's own words."""
    make, steps = SITUATIONS[rule]
    make(ground)
    error = failed(shell, steps, ground.options)
    explanation, fix = (string.Template(text).safe_substitute(ground.names) for text in TOLD[rule])
    assert (error.rule, error.explanation, error.fix) == (rule, explanation, fix)
    if rule != "answer-cut-short":  # the SDK's error of its own
        assert str(error).endswith(fix or str(error))
        # What only repeats the server's words stands in them already.
        repeated = explanation.partition(": ")[2].rstrip(".")
        assert explanation in str(error) or (repeated and repeated in str(error))
    assert "\n" not in error.explanation + error.fix


@pytest.mark.parametrize("rule", BY_HAND)
def test_rule_by_hand(rule: str) -> None:
    """What this machine cannot provoke is told of a case that is made by hand."""
    known, texts = BY_HAND[rule]
    address = {"socket-barred": "unix:///run/x.sock", "proxy-between": "http://gpu1.test"}.get(
        rule, "http://gpu1"
    )
    settings = merge({"base_url": address}, {}, ())
    if rule == "proxy-between":
        proxy = proxy_for(settings.endpoint, {"HTTP_PROXY": "http://proxy.test:3128"})
        known = {**known, "proxy": proxy}
    assert told(Case(settings=settings, **known)) == (*texts, rule)


def test_every_rule_is_tested() -> None:
    """No rule stands in the tables without a situation that it is told of, and each has a name of its own."""
    names = [rule.id for rule in RULES]
    assert sorted(names) == sorted({*TOLD, *BY_HAND})
    assert TOLD.keys() == SITUATIONS.keys()


def test_every_case_is_told() -> None:
    """Whatever is known of a failure, even nothing, something is told of it."""
    settings = merge({"base_url": "http://gpu1"}, {}, ())
    for kind in get_args(Kind):
        for status in (None, 400, 401, 403, 404, 405, 418, 500, 502, 504):
            tells = told(Case(kind=kind, settings=settings, status=status, happened="It failed"))
            assert tells.explanation, (kind, status)


@given(
    kind=st.sampled_from(get_args(Kind)),
    status=st.sampled_from((None, 400, 401, 404, 500, 503)),
    words=st.sampled_from(
        (
            "{}",
            "The model `{}` does not exist. Valid aliases: {}.",
            "{} is not a multimodal model",
            "the proxy {} refused. If the server can be reached without it",
            "lora adapter '{}' cannot be found.",
            "Grammar error: {}",
        )
    ),
    text=st.text(max_size=40),
)
def test_explains_whatever_a_server_says(kind: Kind, status: int | None, words: str, text: str) -> None:
    """No text of a server breaks an explanation, in the place of the error that it is about, or steers a terminal."""
    said = words.replace("{}", text)
    settings = merge({"base_url": "http://gpu1"}, {}, ())
    request = json.dumps({"model": text}).encode()
    body = {"error": {"message": said, "param": text}}
    tells = told(Case(kind=kind, settings=settings, status=status, reason=said, body=body, request=request))
    assert tells.explanation.isprintable()
    assert tells.fix.isprintable()


@every_shell
@pytest.mark.parametrize("delivered", [False, True])
def test_within_a_stream(shell: str, delivered: bool, ground: Ground) -> None:  # noqa: FBT001 - by pytest
    """What vLLM refuses when a stream has begun is told as if it were a status of the answer, which the error has."""
    refusal = {
        "error": {"message": "Grammar error: Invalid type: text", "type": "BadRequestError", "code": 400}
    }
    choice = {"index": 0, "delta": {"role": "assistant", "content": "some text"}, "finish_reason": None}
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}
    events = [*([json.dumps(chunk)] if delivered else []), json.dumps(refusal), "[DONE]"]
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    ground.server().reply_next(Reply(200, {"content-type": "text/event-stream"}, body))
    error = failed(shell, (stream,), ground.options)
    root = ground.names["root"]
    assert (error.rule, error.status_code) == ("grammar", 400)
    assert "Correct the schema, regex or grammar" in error.fix
    assert isinstance(error, AnswerIncomplete) is delivered
    if delivered:
        assert error.explanation == (
            f"The answer of {root}/v1 is not complete: the server failed (Grammar error: Invalid type: text)."
        )
        assert "What came of it is in the error's `partial` (9 characters)" in error.fix
    else:
        assert error.explanation.startswith(f"{root} cannot make a grammar")
    again = pickle.loads(pickle.dumps(error))
    told_again = (again.explanation, again.fix, again.rule, again.status_code)
    assert told_again == (error.explanation, error.fix, "grammar", 400)


LONG = post("/chat/completions", messages=[{"role": "user", "content": "word " * 100}])


def respond(client: Any) -> Any:
    return client.responses.create(model=MODEL, input="x", stream=True)


@every_shell
@pytest.mark.parametrize(
    ("rule", "step", "wire"),
    [
        ("prompt-too-long", LONG, "own"),
        ("prompt-too-long", LONG, "sdk"),
        ("timer-first-token", respond, "own"),
        ("timer-first-token", respond, "sdk"),
        # The SDK's own transport has one timer for all reads, which the first token sets.
        ("timer-between-tokens", respond, "own"),
        ("refused-here", lambda client: client.models.list(), "sdk"),
        ("refused-here", info, "own"),
        ("refused-here", info, "sdk"),
        ("key-missing", info, "own"),
        ("closed-plain", post("/chat/completions"), "own"),
        ("closed-plain", post("/chat/completions"), "sdk"),
    ],
)
def test_on_the_sdk_path(rule: str, step: Step, wire: str, shell: str, ground: Ground) -> None:
    """What does not take the fast lane, or the wire, is explained as well."""
    SITUATIONS[rule][0](ground)
    error = failed(shell, (step,), {**ground.options, "wire": wire})
    assert error.rule == rule
    assert error.explanation in str(error)
    assert str(error).endswith(error.fix)


@pytest.mark.parametrize(
    ("asked", "served", "nearest"),
    [
        ("Qwen/Qwen3-8B", ("llama-3", "qwen3-8b"), "qwen3-8b"),
        ("gpt-4o", ("llama-3", "qwen3-8b"), "llama-3, qwen3-8b"),
        ("lama-3", ("/models/llama-3", "mistral"), "/models/llama-3"),
        (
            "x",
            tuple(f"model-{number}" for number in range(9)),
            "model-0, model-1, model-2, model-3, model-4 and 4 more",
        ),
        ("a\x1b[2Jb", ("odd\x1bname",), "odd name"),
    ],
)
def test_nearest_names(asked: str, served: tuple[str, ...], nearest: str) -> None:
    """Of the served names those are told that are like the asked one, whoever owns it; all, up to five, where none is."""
    settings = merge({"base_url": "http://gpu1"}, {}, ())
    body = {"error": {"message": f"The model `{asked}` does not exist.", "code": 404}}
    request = json.dumps({"model": asked}).encode()
    models = tuple(ServedModel(name) for name in served)
    tells = told(
        Case(kind="status", settings=settings, status=404, body=body, request=request, models=models)
    )
    assert tells.fix.startswith(f"Name one that it serves: {nearest}. ")


def test_names_of_before() -> None:
    """What a server listed before and refuses now is not told as served; what it tells now comes before its old list."""
    settings = merge({"base_url": "http://gpu1"}, {}, ())
    models = (ServedModel("old"), ServedModel("sql", parent="old"))
    request = json.dumps({"model": "old"}).encode()

    def tells(text: str, models: tuple[ServedModel, ...]) -> tuple[str, str]:
        body = {"error": {"message": text, "code": 404}}
        case = Case(kind="status", settings=settings, status=404, body=body, request=request, models=models)
        return told(case).rule, told(case).fix.partition(". ")[0]

    now = "The model `old` does not exist. Valid aliases: new, newer."
    assert tells(now, models) == ("model-not-served-adapters", "Name one that it serves: new, newer, sql")
    assert tells(now, models[:1]) == ("model-not-served", "Name one that it serves: new, newer")
    assert tells("The model `old` does not exist.", models[:1])[0] == "model-unknown"


@every_shell
@pytest.mark.parametrize("rule", ["key-refused", "server-failed"])
def test_keys_stay_hidden(rule: str, shell: str, ground: Ground) -> None:
    """Where a server echoes a key, no explanation shows it."""
    server = ground.server()
    status = 401 if rule == "key-refused" else 500
    text = f"What is {KEY} meant to be?"
    body = json.dumps({"error": {"message": text, "param": KEY, "code": status}}).encode()
    server.reply_next(Reply(status, {"content-type": "application/json"}, body))
    error = failed(shell, (chat,), {**ground.options, "api_key": KEY})
    assert error.rule == rule
    assert KEY not in str(error) + error.explanation + error.fix


@every_shell
def test_explained_once(shell: str, ground: Ground) -> None:
    """An error that passes several exits on its way, as that of an answer which is read there and then, is told once."""
    ground.server(faults=("finish-abort",))
    error = failed(shell, (chat,), ground.options)
    assert error.rule == "cut"
    assert str(error).count("go on from there") == 1
