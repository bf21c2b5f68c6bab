"""Rules about the way to a server: no connection, TLS, proxies, what is no HTTP, and the timers."""

from __future__ import annotations

from vllm_connect.explain.case import Case
from vllm_connect.explain.rule import Rule, being, lacks, reason, when

__all__ = ["REACHING", "TIMERS"]

UNREACHED = being("unreachable", "malformed")
# What a connection says that was closed before an answer; each transport has words of its own.
CLOSED = (
    r"closed the connection without an answer|does not speak HTTP|connection (closed|reset) by the server"
)
NO_HTTP = r"Expected HTTP/|Invalid HTTP version"


def _is_plain(case: Case) -> bool:
    return case.endpoint.scheme == "http" and case.endpoint.socket is None


def _is_tls(case: Case) -> bool:
    return case.endpoint.scheme == "https"


def _is_local(case: Case) -> bool:
    return case.endpoint.is_loopback


REACHING: tuple[Rule, ...] = (
    Rule(
        "proxy-unreachable",
        "the proxy between cannot be reached",
        (UNREACHED, reason(r"no connection to the proxy \S+ \(from (?P<variable>\w+)\)")),
        "{happened}.",
        "Correct {variable}, or add {host} to NO_PROXY if the server can be reached without the proxy.",
    ),
    Rule(
        "proxy-credentials",
        "the proxy between wants credentials, or others (407)",
        (UNREACHED, reason(r"(?P<what>the proxy \S+ .*\(407\)): (?P<mend>.+?)\. If the server")),
        "No connection to {server}: {what}.",
        "For its credentials, {mend}; or add {host} to NO_PROXY if the server can be reached without the proxy.",
    ),
    Rule(
        "proxy-refused",
        "the proxy between opens no way to the server",
        (UNREACHED, reason(r"(?P<what>the proxy .+)\. If the server can be reached without it")),
        "No connection to {server}: {what}; the proxy is from {variable}.",
        "If the server can be reached without the proxy, add {host} to NO_PROXY.",
    ),
    Rule(
        "proxy-between",
        "no connection through a proxy, over the SDK's own transport, which does not say whose fault it is",
        (
            UNREACHED,
            when(lambda case: case.proxy),
            reason("the proxy refused|connection (refused|failed)|host name"),
        ),
        "{happened}, by way of the proxy {proxy} from {variable}.",
        "Correct {variable}, or add {host} to NO_PROXY if the server can be reached without the proxy.",
    ),
    Rule(
        "unknown-host",
        "the host name is not known (DNS)",
        (UNREACHED, reason("host name is not known")),
        "{happened}.",
        "Check its spelling, and whether this machine can look {host} up. {address_from}",
    ),
    Rule(
        "refused-here",
        "connection refused, on this machine",
        (UNREACHED, reason("connection refused"), when(_is_local), lacks(lambda case: case.socket)),
        "{happened}. Nothing listens there: the server is not running, or still loading.",
        "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait {server}`; within a container "
        "{host} is the container itself. {address_from}",
    ),
    Rule(
        "refused",
        "connection refused, by another machine or a unix socket",
        (UNREACHED, reason("connection refused")),
        "{happened}. Nothing listens there: the server is not running, or still loading.",
        "Start it, or wait for it with client.wait_until_ready() or `vllm-connect wait {server}`. {address_from}",
    ),
    Rule(
        "no-socket",
        "there is no such unix socket",
        (UNREACHED, reason("no such unix socket")),
        "{happened}.",
        "Was the server started with --uds {socket}? {address_from}",
    ),
    Rule(
        "socket-barred",
        "this user may not open the unix socket",
        (UNREACHED, reason("no permission"), when(lambda case: case.socket)),
        "{happened}.",
        "Run as a user who may write to {socket}, or give the right: chmod o+w {socket}.",
    ),
    Rule(
        "no-route",
        "no way through the network",
        (UNREACHED, reason("network unreachable|no route to host")),
        "{happened}.",
        "Is this machine in the server's network (VPN, subnet, firewall)? {address_from}",
    ),
    Rule(
        "no-descriptors",
        "this process has no free file descriptor",
        (UNREACHED, reason("no free file descriptor")),
        "{happened}: it is this process that has too many files and connections open.",
        "Raise its limit (`ulimit -n 65536`), or open fewer connections: limits=Limits(connections=...).",
    ),
    Rule(
        "no-place",
        "all connections that the limits allow are in use",
        (
            UNREACHED,
            reason("all connections that `limits` allows|connection of this client's pool became free"),
        ),
        "{happened}.",
        "Ask less at once, or allow more: limits=Limits(connections=...).",
    ),
    # -- certificates
    Rule(
        "certificate-expired",
        "the server's certificate has expired",
        (UNREACHED, reason("certificate has expired")),
        "{happened}.",
        "Renew the certificate on the server; if it is new, start the server again or look at this machine's clock.",
    ),
    Rule(
        "certificate-not-yet-valid",
        "the server's certificate is not valid yet",
        (UNREACHED, reason("certificate is not yet valid")),
        "{happened}.",
        "Look at this machine's clock, and at the certificate's first day.",
    ),
    Rule(
        "certificate-name",
        "the server's certificate is for another name",
        (UNREACHED, reason(r"(Hostname|IP address) mismatch|is not valid for")),
        "{happened}.",
        "Write a name that the certificate holds in base_url, or give the server a certificate for {host}. "
        "{address_from}",
    ),
    Rule(
        "certificate-other-authority",
        "the server's certificate is by another authority than the one in tls.ca",
        (UNREACHED, reason("certificate is not trusted"), when(lambda case: case.ca)),
        "{happened}.",
        "{ca} (tls.ca) does not hold the authority of this certificate: put the authority's own certificate there.",
    ),
    Rule(
        "certificate-authority",
        "the server's certificate is by a private authority, or signed by itself",
        (UNREACHED, reason("certificate is not trusted")),
        "{happened}.",
        "For a private authority give its certificate: tls=Tls(ca='ca.pem'), or SSL_CERT_FILE=ca.pem in the environment.",
    ),
    Rule(
        "client-certificate-missing",
        "the server wants a client certificate",
        (
            UNREACHED,
            reason("(?i)certificate.?required"),
            lacks(lambda case: case.tls.client_cert),
        ),
        "{happened}. The server wants a client certificate.",
        "Give one: tls=Tls(client_cert='client.pem'), or the pair (certificate, key).",
    ),
    Rule(
        "client-certificate-refused",
        "the server does not accept the client certificate",
        (
            UNREACHED,
            reason(
                "(?i)ALERT_(BAD|UNSUPPORTED|UNKNOWN|CERTIFICATE)|certificate.?(required|unknown)|unknown.ca"
            ),
        ),
        "{happened}. The server does not accept the client certificate.",
        "Give one of an authority that the server knows (its --ssl-ca-certs): tls=Tls(client_cert='client.pem').",
    ),
    Rule(
        "tls-to-plain",
        "https to a port that speaks plain http",
        (
            UNREACHED,
            reason("TLS failed: .*(WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST|UNKNOWN_PROTOCOL)"),
        ),
        "{happened}. It speaks no TLS, but probably plain http.",
        "If so, write http:// in place of https://: base_url='{other_scheme}'. {address_from}",
    ),
    Rule(
        "closed-tls",
        "https, and the connection is closed without an answer",
        (
            UNREACHED,
            reason(f"{CLOSED}|EOF|did not complete"),
            when(_is_tls),
            lacks(lambda case: case.tls.client_cert),
        ),
        "{happened}. The server went away, or it wants a client certificate.",
        "If it wants a certificate, give one: tls=Tls(client_cert='client.pem'); else look at its log.",
    ),
    Rule(
        "closed-tls-certified",
        "https with a client certificate, and the connection is closed without an answer",
        (UNREACHED, reason(f"{CLOSED}|EOF|did not complete"), when(_is_tls)),
        "{happened}. The server went away, or it does not accept the client certificate.",
        "If it does not, give one of an authority that it knows (its --ssl-ca-certs): tls=Tls(client_cert='client.pem'); else "
        "look at its log.",
    ),
    Rule(
        "tls-failed",
        "TLS failed in another way",
        (UNREACHED, reason("TLS failed")),
        "{happened}.",
        "Is it an https server, of TLS 1.2 or newer? {address_from}",
    ),
    # -- what comes is no HTTP
    Rule(
        "plain-to-tls",
        "http to a port that speaks TLS, or speaks no HTTP at all",
        (UNREACHED, reason(NO_HTTP), when(_is_plain)),
        "{happened}. Something else than an http server listens there, or it speaks TLS.",
        "If it speaks TLS, write https:// in place of http://: base_url='{other_scheme}'; else correct the port. {address_from}",
    ),
    Rule(
        "not-http",
        "what listens there speaks no HTTP",
        (UNREACHED, reason(NO_HTTP)),
        "{happened}. Something else than an http server listens there.",
        "Correct the port. {address_from}",
    ),
    Rule(
        "closed-plain",
        "http, and the connection is closed without an answer",
        (UNREACHED, reason(CLOSED), when(_is_plain)),
        "{happened}. The server went away, or it speaks TLS there.",
        "If it speaks TLS, write https:// in place of http://: base_url='{other_scheme}'; else look at its log. {address_from}",
    ),
    Rule(
        "lost",
        "the connection was lost before an answer began, otherwise",
        (being("unreachable"),),
        "{happened}.",
        "Look at the server's log, and at what stands between (a gateway, a firewall); then ask again.",
    ),
    Rule(
        "malformed",
        "the answer breaks the rules of HTTP, otherwise",
        (being("malformed"),),
        "{happened}.",
        "Look at what stands at that address: a server, or a gateway before it, writes broken HTTP. {address_from}",
    ),
)

TIMERS: tuple[Rule, ...] = (
    Rule(
        "timer-connect",
        "no connection came about in time",
        (being("timer"), when(lambda case: case.timer == "connect")),
        "{happened}.",
        "Is the host up, and the port not blocked (a firewall)? The timer is timeouts.connect. {address_from}",
    ),
    Rule(
        "timer-asleep",
        "no first token, of a server that can be put to sleep",
        (
            being("timer"),
            when(lambda case: case.timer in ("first_token", "total") and "sleep" in (case.serves or ())),
        ),
        "{happened}.",
        "It may be asleep, when vLLM lets requests wait: ask client.server.is_sleeping(), and wake it by "
        "client.server.wake_up(). Else it is busy or the prompt long; the timer is timeouts.{timer}.",
    ),
    Rule(
        "timer-first-token",
        "no first token came in time",
        (being("timer"), when(lambda case: case.timer == "first_token")),
        "{happened}.",
        "It may be busy or the prompt long; the timer is timeouts.first_token. (A server with sleep mode may be asleep: "
        "client.server.is_sleeping().)",
    ),
    Rule(
        "timer-between-tokens",
        "a stream stood still",
        (being("timer"), when(lambda case: case.timer == "between_tokens")),
        "{happened}.",
        "The server, or a gateway before it, hangs: look at its log. If it pauses so long by right, raise timeouts.between_tokens.",
    ),
    Rule(
        "timer-total",
        "the call took longer than its total",
        (being("timer"),),
        "{happened}.",
        "For longer answers raise timeouts.total (or timeout=), or stream the answer. (A server with sleep mode may be asleep: "
        "client.server.is_sleeping().)",
    ),
    Rule(
        "not-ready",
        "a server was waited for, and did not become ready",
        (being("not ready"),),
        "{happened}.",
        "Large models load for many minutes: give more time, and look at the server's own log.",
    ),
)
