"""The whole examination: settings, each server by itself, and several compared; findings as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import openai

from vllm_connect.checks import Finding, Status, failed, findings
from vllm_connect.discovery import disagreements
from vllm_connect.doctor.patient import CONNECT_SECONDS, Patient
from vllm_connect.doctor.way import WAY
from vllm_connect.doctor.work import WORK
from vllm_connect.settings import Timeouts

__all__ = ["CHECKS", "examination"]

CHECKS = (*WAY, *WORK)
# A server that works answers each question in moments.
TIMEOUTS = Timeouts(connect=CONNECT_SECONDS, first_token=10, between_tokens=10, total=15)


def examination(
    arguments: Mapping[str, Any], patients: list[Patient] | None = None, *, timeouts: Timeouts = TIMEOUTS
) -> Iterator[Finding]:
    """Yield what is found of the servers that these arguments of a client, and what they leave open, name.

    `patients` gets what was learned of each. Nothing is asked of a server that a failed check needs.
    """
    from vllm_connect.client import OpenAI  # noqa: PLC0415 - the SDK costs half a second

    patients = [] if patients is None else patients
    try:
        client = OpenAI(**{**arguments, "timeouts": timeouts}, max_retries=0)
    except openai.OpenAIError as error:
        told = failed(error)
        yield Finding(check="settings", status="fail", said=told.said, fix=told.fix, facts=told.facts)
        return
    with client:
        several = client.settings.has_replicas
        endpoints = client._servers() if several else client.settings.endpoints
        names = {one.by_name: str(one) for one in client.settings.endpoints if one.every_address}
        for endpoint in endpoints:
            alone = client.with_options(base_url=[str(endpoint)]) if several else client
            patient = Patient(alone, written=names.get(endpoint.by_name, ""))
            patients.append(patient)
            for finding in findings(CHECKS, patient, server=str(endpoint) if several else ""):
                yield _masked(finding, patients)
        if len(endpoints) > 1:
            yield _masked(_compared(patients), patients)


def _masked(finding: Finding, patients: Sequence[Patient]) -> Finding:
    """Return a finding without the keys that servers may echo, as in the name of a model."""
    told = json.dumps([finding.said, finding.fix, dict(finding.facts)], ensure_ascii=False)
    for patient in patients:
        key = patient.client._credentials.at_hand
        told = told if key is None else key.scrub(told)
    said, fix, facts = json.loads(told)
    return replace(finding, said=said, fix=fix, facts=facts)


def _compared(patients: Sequence[Patient]) -> Finding:
    """Compare what several replicas serve."""
    known = {str(one.endpoint): one.facts for one in patients if one.first_error is None}
    if len(known) < 2:  # noqa: PLR2004 - nothing to compare
        return _of_all("skipped", "fewer than two of them answered")
    differ = [
        f"{one.replica} {one.reason}"
        for one in disagreements({name: facts.models for name, facts in known.items()})
    ]
    if differ:
        fix = "Serve the same model, name and --max-model-len everywhere; calls pass over those that differ."
        return _of_all("warn", "; ".join(differ), fix)
    versions = {facts.version for facts in known.values()}
    if len(versions) > 1:
        told = ", ".join(f"{name} {facts.version or 'unknown'}" for name, facts in known.items())
        return _of_all("warn", f"they are of several releases: {told}", "Run one release everywhere.")
    return _of_all("ok", f"{len(known)} serve the same")


def _of_all(status: Status, said: str, fix: str = "") -> Finding:
    return Finding(check="replicas", status=status, said=said, fix=fix)
