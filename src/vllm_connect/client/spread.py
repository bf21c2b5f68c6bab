"""What a client knows of its replicas: what each serves, which one a request went to, what is about one alone; no I/O."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from vllm_connect.client.catalogue import Catalogue
from vllm_connect.discovery import Progress, Reply, disagreements, probe_readiness
from vllm_connect.dispatch import Call, Member, ReplicaSet
from vllm_connect.dispatch.call import call_of
from vllm_connect.errors import SettingsError
from vllm_connect.facts import ServedModel
from vllm_connect.settings import Settings

if TYPE_CHECKING:
    import httpx2

    from vllm_connect.client.server.question import Question

__all__ = ["SURVEY_SECONDS", "Spread"]

# What each replica serves is worth no longer wait than this, and than this share of the time that a call has.
SURVEY_SECONDS = 3.0
SURVEY_SHARE = 0.25
# Where it was known before, one that does not answer at once is not waited for.
RESURVEY_SECONDS = 0.25


class Spread:
    """The part of a client that knows of several replicas, and of one as the only one."""

    _clock: Callable[[], float]
    _client: Any
    _settings: Settings
    _replicas: ReplicaSet
    _catalogue: Catalogue

    def _wants_survey(self) -> bool:
        """Whether names are to be looked up, or replicas to be asked what they serve, before the next call."""
        now = self._clock()
        return self._replicas.survey.is_due(now) or self._replicas.lookup.is_due(now)

    def _tell_wires(self) -> None:
        """Let the wires know of other replicas, for which one that says nothing is given up."""
        wires = self._client.wires
        if wires is not None and self._replicas.only is None:
            group, clock = self._replicas.group, self._clock
            wires.others.can_do_for = lambda name: group.has_alternative(name, clock())

    def _survey_seconds(self, call: Call) -> float:
        """Return how long a call waits for what replicas are asked on its way."""
        most = RESURVEY_SECONDS if self._replicas.survey.served else SURVEY_SECONDS
        first_token = call.timers.first_token
        has = min(call.remaining(self._clock()), math.inf if first_token is None else first_token)
        return min(most, max(has, 0.0) * SURVEY_SHARE)

    def _surveyed(self, name: str, models: tuple[ServedModel, ...] | None) -> None:
        """Take note of what a replica serves; who does not serve the same as the others is passed over."""
        survey = self._replicas.survey
        with survey.lock:
            survey.note(name, models)
            self._compare()
        if models is None:
            self._replicas.lookup.was_away()

    def _compare(self) -> None:
        survey, group = self._replicas.survey, self._replicas.group
        for other in group.names:  # what one serves by now may be why another was passed over
            group.readmit(other)
        for one in disagreements(survey.served):
            group.exclude(one.replica, one.reason, model=one.model)

    def _learn_models(self) -> None:
        """Take the models of the first replica that told them, in the order in which they were given."""
        survey = self._replicas.survey
        if self._catalogue.models is None:
            order = (member.name for member in self._replicas.members)
            self._catalogue.models = next(
                (survey.served[name] for name in order if name in survey.served), None
            )

    def _members_due(self) -> list[Member]:
        survey, now = self._replicas.survey, self._clock()
        names = survey.due(now) if survey.is_due(now) else ()
        return [member for member in self._replicas.members if member.name in names]

    def _look_up_names(self) -> None:
        """Take the replicas that names stand for by now; blocks for as long as the resolver does."""
        replicas = self._replicas
        if not replicas.look_up(self._clock()):
            return
        with replicas.survey.lock:  # who left may be why another was passed over
            self._compare()
        if self._client.wires is not None:
            self._client.wires.keep(member.endpoint for member in replicas.members)

    def _at(self, member: Member) -> Self:
        """Return this client with one of its replicas for its only server; connections are shared."""
        endpoint = member.endpoint.by_name if member.endpoint.every_address else member.endpoint
        return self.copy(base_url=[str(endpoint)])  # type: ignore[attr-defined, no-any-return]  # the SDK's

    def _settings_at(self, server: str) -> Settings:
        """Return the settings as they are for one of the replicas, by its address."""
        member = next((one for one in self._replicas.members if str(one.endpoint) == server), None)
        return self._settings if member is None else replace(self._settings, endpoint=member.endpoint)

    def _server_of(self, request: httpx2.Request) -> str:
        """Return the address of the replica that a request went to, which its URL alone does not tell."""
        call = call_of(request.extensions)
        return str(self._settings.endpoint if call is None else call.member.endpoint)

    def _probing(
        self, timeout: float, report: Callable[[Progress], None]
    ) -> Generator[Any, Reply, str | None]:
        may_get_name = self._replicas.lookup.has_names
        return probe_readiness(timeout, self._clock, random.random, report, may_get_name=may_get_name)

    def _refuse_any_of_several(self, question: Question[Any]) -> None:
        if not question.is_of_one or self._replicas.only is not None:
            return
        members = self._replicas.members
        first = members[0].endpoint
        # Of a name that was not looked up yet the addresses are not known.
        several = "one at each address of a name" if first.every_address else f"{len(members)} replicas"
        one = f"{first.by_name} [10.0.0.1]" if first.every_address else first
        raise SettingsError(
            f"{question.path} is about one server, and this client has {several}. Name the one: "
            f'client.with_options(base_url=["{one}"]).server.'
        )
