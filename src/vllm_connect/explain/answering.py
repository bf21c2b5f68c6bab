"""Rules about answers that are none, or not whole."""

from __future__ import annotations

import re

from vllm_connect.explain.case import Case
from vllm_connect.explain.rule import Rule, being, lacks, when

__all__ = ["ANSWERING"]


def _is_for_https(case: Case) -> bool:
    """Whether a redirect goes to the same host in https."""
    return case.endpoint.scheme == "http" and case.target.startswith(f"https://{case.host}")


def _is_of_slash(case: Case) -> bool:
    """Whether a redirect goes to the same path with a slash at its end, or without."""
    target = re.sub(r"^\w+://[^/]*", "", case.target)
    return target != case.path and target.rstrip("/") == case.path.rstrip("/")


ANSWERING: tuple[Rule, ...] = (
    Rule(
        "redirect-to-https",
        "a redirect to https at the same host",
        (being("redirect"), when(_is_for_https)),
        "{happened}.",
        "Write base_url='{redirected_to}'. {address_from}",
    ),
    Rule(
        "redirect-of-slash",
        "a redirect to the same path with or without a slash at its end",
        (being("redirect"), when(_is_of_slash)),
        "{happened}.",
        "Write the path of your call as it is there: vLLM's have no slash at their end; what wants one is a "
        "gateway before it.",
    ),
    Rule(
        "redirect",
        "any other redirect",
        (being("redirect"),),
        "{happened}.",
        "If that is where your server is, write base_url='{redirected_to}'. {address_from}",
    ),
    Rule(
        "page-of-success",
        "a success that is a page of HTML, such as of a login",
        (being("shape"), when(lambda case: case.is_html)),
        "{place} answered {path} with a page of HTML that is not vLLM's ({media_type}).",
        "A page for people (of a login, of a chat application) is no vLLM server: correct base_url, or give the gateway "
        "what it wants (default_headers=). {address_from}",
    ),
    Rule(
        "shape",
        "a success that is no answer to the request",
        (being("shape"),),
        "{happened}.",
        "Is it the address of a vLLM server, and does a gateway before it pass the route on? {address_from}",
    ),
    Rule(
        "too-large",
        "an answer that passed one of the Limits",
        (being("too large"),),
        "{happened}.",
        "If it is meant to be that large, set limits=Limits({limit}=...) to more.",
    ),
    Rule(
        "cut",
        "an answer that began and did not end right, of which a part is there",
        (being("cut"), lacks(lambda case: case.came is None)),
        "{happened}.",
        "What came of it is in the error's `partial` ({came:,} characters): ask again, or go on from "
        "there. {why_cut}",
    ),
    Rule(
        "cut-unread",
        "an answer that began and did not end right, of which nothing is there",
        (being("cut"),),
        "{happened}.",
        "Ask again. {why_cut}",
    ),
)
