"""What a server is: the flow that asks for its models, version, routes and need of a key.

Only the models must be there. All else may be hidden by a gateway, answered with a page of its own, or slowly: it
then stays unknown, and costs no more than a few seconds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from http import HTTPStatus
from typing import Any

from vllm_connect.discovery.ask import Ask, Reply
from vllm_connect.discovery.catalogue import discover_models
from vllm_connect.discovery.document import declared_parameters
from vllm_connect.facts import ROUTES, ServedModel, ServerFacts, Service

__all__ = ["discover_dialect", "discover_facts"]

# What is worth knowing, but not worth waiting for.
ASIDE_SECONDS = 3.0
# No server has it: how its absence is answered tells whether the absence of others can be seen.
NO_ROUTE = "/vllm-connect-no-such-route"
REFUSES_ITS_KEY = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# No answer in time, or one that says nothing of the route.
NO_TIME, TOO_MANY = 0, HTTPStatus.TOO_MANY_REQUESTS


def discover_facts(url: str, *, sends_key: bool) -> Generator[Ask, Reply, ServerFacts]:
    """Ask for all facts of the server at this address; `sends_key` says whether requests leave with a key."""
    models = yield from discover_models()
    version = yield from _version()
    serves, declares = yield from _listed()
    if serves is None:
        serves = yield from _found_services()
    needs_key = (yield from _needs_key()) if sends_key else False
    return ServerFacts(url, version, models, serves, needs_key, declares)


def discover_dialect(url: str, models: tuple[ServedModel, ...] | None) -> Generator[Ask, Reply, ServerFacts]:
    """Ask for what tells which parameters the server knows: its models where they are not known, version, document.

    A server that names itself as the owner of its models, and is no vLLM, is not asked further.
    """
    if models is None:
        models = yield from discover_models()
    facts = ServerFacts(url, None, models)
    if facts.is_vllm is False:
        return facts
    version = yield from _version()
    serves, declares = yield from _listed()
    return ServerFacts(url, version, models, serves, None, declares)


def _aside(path: str, *, own_route: bool = True, keyed: bool = True) -> Ask:
    return Ask(path, own_route=own_route, raises=False, seconds=ASIDE_SECONDS, keyed=keyed)


def _version() -> Generator[Ask, Reply, str | None]:
    reply = yield _aside("/version")
    version = _mapping(reply.json).get("version")
    return version if isinstance(version, str) else None


def _listed() -> Generator[Ask, Reply, tuple[frozenset[Service] | None, Mapping[str, frozenset[str]] | None]]:
    """Read routes and parameters from `/openapi.json`; a document without any route is not about this server."""
    reply = yield _aside("/openapi.json")
    document = _mapping(reply.json)
    paths = _mapping(document.get("paths"))
    serves = frozenset(route.service for route in ROUTES if route.service and route.path in paths)
    return serves or None, declared_parameters(document) or None


def _found_services() -> Generator[Ask, Reply, frozenset[Service] | None]:
    """Try each route with GET, which does nothing: what takes only POST answers 405, what is not there 404."""
    for own_route in (True, False):
        control = yield _aside(NO_ROUTE, own_route=own_route)
        if control.status != HTTPStatus.NOT_FOUND:
            return None
    found: set[Service] = set()
    for route in ROUTES:
        if route.service is None:
            continue
        path = route.path.removeprefix("/v1")
        reply = yield _aside(path, own_route=path == route.path)
        if reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
            found.add(route.service)
        elif reply.status in (NO_TIME, TOO_MANY) or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return None  # what was found so far would pass for all there is
    return frozenset(found) or None


def _needs_key() -> Generator[Ask, Reply, bool | None]:
    reply = yield _aside("/models", own_route=False, keyed=False)
    if reply.status in REFUSES_ITS_KEY:
        return True
    return False if "data" in _mapping(reply.json) else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
