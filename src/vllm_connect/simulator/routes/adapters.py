"""LoRA adapters while the server runs: POST /v1/load_lora_adapter and /v1/unload_lora_adapter, and SageMaker's names."""

from typing import Final

from vllm_connect.simulator.engine import Engine
from vllm_connect.simulator.exchange import RecordedRequest, Response, Routed, dump, json_response
from vllm_connect.simulator.requests import intake
from vllm_connect.simulator.requests.fields import Body
from vllm_connect.simulator.requests.refusals import Refusal, error_body, refuse

_NO_NAME_OR_PATH: Final = Refusal(
    "Both 'lora_name' and 'lora_path' must be provided.", kind="InvalidUserInput"
)
_NAME_OF_MODEL: Final = Refusal(
    "The lora adapter '{name}' conflicts with a served base model.", kind="InvalidUserInput"
)
_LOADED: Final = Refusal(
    "The lora adapter '{name}' has already been loaded. If you want to load the adapter in place,"
    " set 'load_inplace' to True.",
    kind="InvalidUserInput",
)
_NOT_FOUND: Final = Refusal(
    "Loading lora {name} failed: No adapter found for {path}", status=404, kind="NotFoundError"
)
_NOT_ENABLED: Final = Refusal(
    "Call to add_lora method failed: LoRA is not enabled. Use --enable-lora to enable LoRA.",
    status=500,
    kind="InternalServerError",
)
_NO_NAME: Final = Refusal(
    "'lora_name' needs to be provided to unload a LoRA adapter.", kind="InvalidUserInput"
)
_NOT_LOADED: Final = Refusal("The lora adapter '{name}' cannot be found.", status=404, kind="NotFoundError")


def load(request: RecordedRequest, engine: Engine) -> Routed:
    """Serve an adapter under its name."""
    body = intake.read(request, intake.LOAD_ADAPTER, engine.options)
    _load(body, engine)
    return _said(f"Success: LoRA adapter '{body['lora_name']}' added successfully.")


def unload(request: RecordedRequest, engine: Engine) -> Routed:
    """Serve an adapter no more."""
    name = intake.read(request, intake.UNLOAD_ADAPTER, engine.options)["lora_name"]
    _unload(name, engine)
    return _said(f"Success: LoRA adapter '{name}' removed successfully.")


def register(request: RecordedRequest, engine: Engine) -> Routed:
    """SageMaker's POST /adapters."""
    given = request.json()
    missing = [name for name in ("name", "src") if name not in given]
    if missing:
        entries = [
            {"type": "missing", "loc": [name], "msg": "Field required", "input": given} for name in missing
        ]
        body = error_body(dump(entries).decode(), "Bad Request", 400)
        return json_response(body, status=400)
    _load(
        {"lora_name": given["name"], "lora_path": given["src"], "load_inplace": given.get("load_inplace")},
        engine,
    )
    return _said(f"Adapter {given['name']} registered")


def unregister(request: RecordedRequest, engine: Engine) -> Routed:
    """SageMaker's DELETE /adapters/{adapter_name}."""
    name = request.path.rpartition("/")[2]
    _unload(name, engine)
    return _said(f"Adapter {name} unregistered")


def _load(body: Body, engine: Engine) -> None:
    name, path, options = body["lora_name"], body["lora_path"], engine.options
    if not name or not path:
        raise refuse(_NO_NAME_OR_PATH)
    if name in options.models:
        raise refuse(_NAME_OF_MODEL, name=name)
    if name in engine.adapters and not body["load_inplace"]:
        raise refuse(_LOADED, name=name)
    if not options.serves_adapters:
        raise refuse(_NOT_ENABLED)
    if options.lora_paths is not None and path not in options.lora_paths:
        raise refuse(_NOT_FOUND, name=name, path=path)
    engine.adapters[name] = path


def _unload(name: str, engine: Engine) -> None:
    if not name:
        raise refuse(_NO_NAME)
    if name not in engine.adapters:
        raise refuse(_NOT_LOADED, name=name)
    del engine.adapters[name]


def _said(text: str) -> Response:
    """A plain text without a content type, as these routes answer."""
    body = text.encode()
    return Response(200, ((b"content-length", b"%d" % len(body)),), body)
