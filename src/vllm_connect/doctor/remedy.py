"""The set-up that works for a server that was examined, as lines for a shell and for Python."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vllm_connect.doctor.patient import Patient

__all__ = ["set_up"]


def set_up(patients: Sequence[Patient]) -> str:
    """Return environment and code by which a newcomer reaches these servers; a key is named, never shown."""
    first = patients[0]
    addresses = ",".join(dict.fromkeys(one.written or str(one.endpoint) for one in patients))
    lines = [f"export VLLM_BASE_URL={shlex.quote(addresses)}"]
    source = first.settings.key
    if source is not None:
        lines.append(
            f"export VLLM_API_KEY=...  # the key of {first.settings.origins.get('api_key', source.place)}"
        )
    model = first.served_model
    if len(first.facts.base_models) > 1:
        lines.append(f"export VLLM_MODEL={shlex.quote(model)}")
    text = "\n".join((*lines, "", *_code(first)))
    key = first.client._credentials.at_hand
    return text if key is None else key.scrub(text)  # a server may name its model so


def _code(patient: Patient) -> Sequence[str]:
    made = ("from vllm_connect import OpenAI", "", "client = OpenAI()")
    if patient.serves("chat"):
        return (
            *made,
            'answer = client.chat.completions.create(messages=[{"role": "user", "content": "Say hello."}])',
            "print(answer.choices[0].message.content)",
        )
    if patient.serves("embeddings"):
        return (*made, 'print(len(client.embeddings.create(input="Say hello.").data[0].embedding))')
    return (*made, "print(client.server.info())")
