"""An answer as text that two clients must agree on: every type, every field, which of them were set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel


def described(values: Iterable[Any]) -> str:
    """Describe these answers; a long description ends in a digest of all of it."""
    text = json.dumps([_described(value) for value in values], sort_keys=True)
    return f"{text[:4000]} {hashlib.sha256(text.encode()).hexdigest()}"


def _described(value: Any) -> Any:
    if isinstance(value, BaseModel):
        fields = value.__dict__ | (value.__pydantic_extra__ or {})
        return {
            "type": f"{type(value).__module__}.{type(value).__qualname__}",
            "set": sorted(value.model_fields_set),
            "fields": {name: _described(field) for name, field in fields.items()},
        }
    if isinstance(value, list):
        return [_described(item) for item in value]
    if isinstance(value, dict):
        return {name: _described(item) for name, item in value.items()}
    return f"{type(value).__name__} {value!r}"
