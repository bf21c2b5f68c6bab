"""`vllm-connect config`: every setting and where it comes from."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import typer

from vllm_connect.cli.options import Connection, Json, connecting
from vllm_connect.cli.terminal import print_json, print_table, shown

if TYPE_CHECKING:
    from vllm_connect.settings import Settings

__all__ = ["config"]

Row = tuple[str, str | None, str]


@connecting
def config(connection: Connection, json: Json = False) -> None:
    """Show every setting and where it comes from.

    Nothing is asked over the network, and a key is never shown.
    """
    from vllm_connect.settings import Settings  # noqa: PLC0415  # imports the SDK

    settings = Settings.load(connection.settings())
    rows = _rows(settings)
    if json:
        print_json(
            {
                "settings": {name: {"value": value, "origin": origin} for name, value, origin in rows},
                "withheld": [dataclasses.asdict(one) for one in settings.withheld],
                "warnings": list(settings.warnings),
            }
        )
        return
    print_table(("setting", "value", "from"), rows)
    for one in settings.withheld:
        typer.echo(shown(f"not sent: the key from {one.place}, as {one.why}"))


def _rows(settings: Settings) -> list[Row]:
    def row(name: str, value: object) -> Row:
        return name, None if value is None else str(value), settings.origins.get(name, "default")

    def table(name: str, value: Any) -> list[Row]:
        fields = () if value is None else dataclasses.fields(value)
        return [row(f"{name}.{field.name}", getattr(value, field.name)) for field in fields]

    aliases = [row(f"model_aliases.{name}", real) for name, real in settings.model_aliases.items()]
    return [
        row("base_url", ", ".join(str(endpoint) for endpoint in settings.endpoints)),
        row("api_key", None if settings.key is None else "***"),
        row("model", settings.model),
        row("profile", settings.profile),
        *aliases,
        *table("timeouts", settings.timeouts),
        *table("limits", settings.limits),
        row("long_calls", settings.long_calls),
        row("resume", settings.resume),
        row("hedge", settings.hedge),
        row("wire", settings.wire),
        row("parameters", settings.parameters),
        row("fit", settings.fit),
        row("system_roles", settings.system_roles),
        *table("tls", settings.tls),
        row("allow_insecure_key", settings.allow_insecure_key),
        row("use_openai_api_key", settings.use_openai_api_key),
    ]
