"""How the certificate of an https server is checked."""

from __future__ import annotations

import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

import openai

from vllm_connect.errors import SettingsError

__all__ = ["Tls"]


@dataclass(frozen=True, kw_only=True)
class Tls:
    """TLS of an https endpoint: a private CA, a client certificate, or (loudly) no check at all.

    `ca` is a PEM file or a folder of them, trusted instead of the system's store; `client_cert` a PEM file
    with certificate and key, or the pair (certificate, key). Without any of them the SDK's own default holds:
    the certificates of `certifi` with openai 2.x, the system's trust store with 3.x.
    """

    ca: str | None = None
    client_cert: str | tuple[str, str] | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        certificates = self.client_cert if isinstance(self.client_cert, tuple) else (self.client_cert,)
        pair = 2
        if not (self.ca is None or isinstance(self.ca, str)):
            raise SettingsError(f"tls.ca takes the path of a PEM file, not {type(self.ca).__name__}.")
        if len(certificates) > pair or not all(one is None or isinstance(one, str) for one in certificates):
            raise SettingsError("tls.client_cert takes the path of a PEM file, or (certificate, key).")
        if not isinstance(self.verify, bool):
            raise SettingsError(f"tls.verify takes true or false, not {self.verify!r}.")

    def context(self) -> ssl.SSLContext:
        """Return the context for connections; raises SettingsError naming the file that cannot be used.

        It costs about 50 ms of CPU where a trust store is read.
        """
        context = self._trusting_context() if self.verify else _trusting_anybody()
        # An administrator's policy may ask for more than we do, and is kept.
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        context.set_alpn_protocols(["http/1.1"])
        if self.client_cert is not None:
            self._load_client_certificate(context, self.client_cert)
        return context

    def _trusting_context(self) -> ssl.SSLContext:
        if self.ca is None:
            return _trusting_as_the_sdk()
        path = Path(self.ca).expanduser()
        try:
            if path.is_dir():
                return ssl.create_default_context(capath=str(path))
            return ssl.create_default_context(cafile=str(path))
        except (OSError, ssl.SSLError) as cause:
            raise SettingsError(
                f"tls.ca: {path} is not a readable PEM file of certificates ({cause}); name the file that holds the "
                "authority's own certificate."
            ) from None

    @staticmethod
    def _load_client_certificate(context: ssl.SSLContext, certificate: str | tuple[str, str]) -> None:
        chain, key = (certificate, None) if isinstance(certificate, str) else certificate
        try:
            context.load_cert_chain(
                str(Path(chain).expanduser()), None if key is None else str(Path(key).expanduser())
            )
        except (OSError, ssl.SSLError) as cause:
            raise SettingsError(
                f"tls.client_cert: {chain} cannot be loaded ({cause}); name a PEM file that holds the certificate and its "
                "key, or both files."
            ) from None


def _trusting_anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _trusting_as_the_sdk() -> ssl.SSLContext:
    """Return the context that the SDK's transport makes: of httpx (2.x) or httpx2 (3.x), whichever it stands on.

    Both read SSL_CERT_FILE and SSL_CERT_DIR first. The package is the one that openai has imported already.
    """
    http = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]]
    try:
        context: ssl.SSLContext = http.create_ssl_context()
    except (OSError, ssl.SSLError) as cause:
        raise SettingsError(
            f"SSL_CERT_FILE or SSL_CERT_DIR holds no readable certificates ({cause})."
        ) from None
    return context
