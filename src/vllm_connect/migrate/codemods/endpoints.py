"""Endpoints of the OpenAI API that no vLLM serves, and those that only some servers do."""

from __future__ import annotations

import re
from typing import NamedTuple

import libcst as cst

from vllm_connect.migrate.client import uses
from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.project import is_open
from vllm_connect.migrate.rule import Rule

__all__ = ["Endpoints"]

MISSING = Rule(
    "unsupported-endpoint",
    "An endpoint that no vLLM serves",
    Severity.BREAKS,
    "vLLM answers 404",
    "Do without it, or send it to a server that has it.",
)
CONDITIONAL = Rule(
    "conditional-endpoint",
    "An endpoint that only some servers have",
    Severity.COSMETIC,
    "vLLM serves it only with the model or the option that brings it, and answers 404 else",
    "See that your server has it: vllm-connect info.",
)


class Row(NamedTuple):
    """What is taken from a client, what is said of it, and what to do instead."""

    path: str
    why: str
    todo: str


THREADS = "Keep the conversation yourself, and send it with chat.completions.create() or responses.create()."
TUNING = "Train with a library of your own, and serve the result: --model, or --enable-lora for adapters."
ROWS = (
    Row("files", "vLLM stores no files", "Send what is in them with the request; a batch is a local file of `vllm-connect batch`."),
    Row("uploads", "vLLM stores no files", "Send what is in them with the request."),
    Row("batches", "vLLM runs no batches", "Run the same file of requests by `vllm-connect batch`."),
    Row("fine_tuning", "vLLM does not train", TUNING),
    Row("beta.assistants", "vLLM keeps no assistants", THREADS),
    Row("beta.threads", "vLLM keeps no conversations", THREADS),
    Row("beta.chatkit", "vLLM keeps no conversations", THREADS),
    Row("beta.agents", "vLLM runs no agents", "Run the agent yourself; its model can be vLLM's."),
    Row("conversations", "vLLM keeps no conversations", THREADS),
    Row(
        "vector_stores",
        "vLLM stores no vectors",
        "Keep them in a database of your own, and make them with embeddings.create().",
    ),
    Row("beta.vector_stores", "vLLM stores no vectors", "Keep them in a database of your own, and make them with embeddings.create()."),
    Row(
        "moderations",
        "vLLM moderates nothing",
        "Serve a classifier and ask client.server.classify(), or a guard model and ask it by chat.",
    ),
    Row("safety", "vLLM moderates nothing", "Serve a guard model, and ask it by chat."),
    Row("images", "vLLM makes no images", "Send it to a server that does."),
    Row("videos", "vLLM makes no videos", "Send it to a server that does."),
    Row("audio.speech", "vLLM does not speak", "Send it to a server that does."),
    Row("evals", "vLLM evaluates nothing", "Run the evaluation yourself against the server."),
    Row("containers", "vLLM runs no code", "Run it yourself, as a tool of the model."),
    Row("skills", "vLLM has no skills", "Put what they say into the prompt."),
    Row("webhooks", "vLLM calls nobody back", "Wait for the answer, or run the requests by `vllm-connect batch`."),
    Row("admin", "vLLM has no organizations", "Leave it out."),
    Row("realtime.client_secrets", "vLLM makes no session keys", "Connect with the server's key."),
    Row("realtime.calls", "vLLM takes no calls", "Leave it out."),
    Row("beta.realtime", "vLLM has no sessions of this kind", "See which part of client.realtime your server has."),
    Row("chat.completions.list", "vLLM keeps no answers", "Keep them yourself."),
    Row("chat.completions.retrieve", "vLLM keeps no answers", "Keep them yourself."),
    Row("chat.completions.update", "vLLM keeps no answers", "Keep them yourself."),
    Row("chat.completions.delete", "vLLM keeps no answers", "Keep them yourself."),
    Row("chat.completions.messages", "vLLM keeps no answers", "Keep them yourself."),
    Row("responses.delete", "vLLM deletes no answers", "Leave it out."),
    Row("responses.input_items", "vLLM does not list them", "Keep them yourself."),
    Row("responses.compact", "vLLM does not do it", "Shorten the conversation yourself."),
    Row("responses.input_tokens", "vLLM counts elsewhere", "Ask client.server.tokenize(messages=...).count."),
    Row("models.delete", "vLLM deletes no models", "Leave it out."),
)  # fmt: skip
# The resources of before 1.0.
LEGACY = {
    "openai.File": "files",
    "openai.FineTune": "fine_tuning",
    "openai.FineTuningJob": "fine_tuning",
    "openai.Image": "images",
    "openai.Moderation": "moderations",
}
CONDITIONS = (
    Row(
        "audio.transcriptions",
        "vLLM serves it with a speech-to-text model, such as Whisper",
        CONDITIONAL.todo,
    ),
    Row(
        "audio.translations", "vLLM serves it with a speech-to-text model, such as Whisper", CONDITIONAL.todo
    ),
    Row("realtime.connect", "vLLM serves it with a model for it, and transcribes alone", CONDITIONAL.todo),
    Row(
        "responses.retrieve",
        "vLLM keeps answers with VLLM_ENABLE_RESPONSES_API_STORE=1 alone",
        CONDITIONAL.todo,
    ),
    Row(
        "responses.cancel",
        "vLLM keeps answers with VLLM_ENABLE_RESPONSES_API_STORE=1 alone",
        CONDITIONAL.todo,
    ),
)
BY_PATH = {row.path: row for row in ROWS}
CONDITIONS_BY_PATH = {row.path: row for row in CONDITIONS}
LAST = frozenset(path.rpartition(".")[2] for path in (*BY_PATH, *CONDITIONS_BY_PATH, *LEGACY))
# Calls that hardly anything else has by these names.
TELLING = re.compile(
    r"\.(?P<path>fine_tuning|beta\.assistants|beta\.threads|vector_stores|moderations|images|audio\.speech|batches|uploads)"
    r"(?:\.(?:jobs|runs|messages|files|file_batches))?\.(?:create|generate|edit|create_variation|create_and_poll|with_\w+)$"
)


class Endpoints(Codemod):
    """What is taken from a client; nothing is rewritten."""

    rules = (MISSING, CONDITIONAL)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._is_about_openai = "openai" in sheet.module.code.lower()

    def visit_Attribute(self, node: cst.Attribute) -> None:
        paths = {_path(one) for one in self.trails(node)} if node.attr.value in LAST else ()
        for path in paths:
            if path in BY_PATH:
                row = BY_PATH[path]
                self.left(node, MISSING, f"`{_written(node, path)}`: {row.why}, it answers 404", row.todo)
            elif path in CONDITIONS_BY_PATH:
                row = CONDITIONS_BY_PATH[path]
                self.left(node, CONDITIONAL, f"`{path}`: {row.why}", row.todo)

    def visit_Call(self, node: cst.Call) -> None:
        """Report what looks like such a call, on a client that is not to be seen."""
        if not self._is_about_openai or not isinstance(node.func, cst.Attribute):
            return
        found = TELLING.search(dotted_name(node.func))
        if found is None or not all(map(is_open, self.trails(node.func))):
            return
        row = BY_PATH[found["path"]]
        self.left(
            node,
            MISSING,
            f"`{row.path}`: {row.why}, if this goes to vLLM: where the client comes from is not to be seen",
            row.todo,
        )


def _path(trail: str) -> str:
    """Return what a trail takes from a client, or from the module as a client; empty where it takes nothing."""
    use = uses(trail)
    if use is not None:
        return use.path
    return LEGACY.get(trail, trail.removeprefix("openai.") if trail.startswith("openai.") else "")


def _written(node: cst.Attribute, path: str) -> str:
    return f"openai.{node.attr.value}" if node.attr.value[:1].isupper() else path
