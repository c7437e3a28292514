"""Where MQTT goes and as whom: what is wrong with that is said before a monitor starts, and without a broker."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from drsn_edge.errors import OutputError, SettingsError
from drsn_edge.gateway.name import gateway_name
from drsn_edge.monitor.sinks.topics import topic_part

PASSPHRASE = "DRSN_EDGE_MQTT_KEY_PASSPHRASE"  # the name of a variable, not a passphrase
PASSWORD = "DRSN_EDGE_MQTT_PASSWORD"  # likewise
URL_FORM = "mqtt://[USER@]HOST[:PORT][/PREFIX]"
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_MOST_PREFIX_BYTES = 200
_MOST_FILE_BYTES = 1_000_000


@dataclass(frozen=True)
class Broker:
    """Where to publish.

    Attributes:
        host: Name or address.
        port: TCP port.
        tls: Whether the line is encrypted; the broker's certificate is then checked.
        user: None: anonymous.
        prefix: Of every topic, without a slash at its ends.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    prefix: str


@dataclass(frozen=True)
class MqttOptions:
    """How to publish there.

    Attributes:
        gateway: Of the topics: PREFIX/GATEWAY/MACHINE; None: `gateway_name`.
        client_id: None: made of gateway, machine and prefix, the same at each start.
        topics: One of `drsn_edge.monitor.sinks.names.TOPICS`.
        ca: File of certificates to check the broker by; None: those of the system.
        cert: File of the client's certificate (PEM); None: no client certificate.
        key: File of its private key (PEM); None: it is in the certificate's file.
    """

    gateway: str | None = None
    client_id: str | None = None
    topics: str = "plain"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


PLAIN = MqttOptions()
"""Nothing but what is the default."""


def parse_url(url: str) -> Broker:
    """Read `mqtt://[USER@]HOST[:PORT][/PREFIX]`, or mqtts:// for TLS.

    Raises:
        OutputError: If it is none, or holds a password, which other users of the machine could see.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        (parts.hostname or "").encode("idna")
    except ValueError as exc:
        raise OutputError(f"Expected {URL_FORM}, got {url!r}: {exc}.") from exc
    if parts.password is not None:
        raise OutputError(f"Expected no password in the URL, where others can see it: put it into {PASSWORD}.")
    prefix = unquote(parts.path).strip("/") or "drsn-edge"
    if not (parts.hostname and parts.scheme in _PORTS and not {"?", "#"} & set(url) and _is_prefix(prefix)):
        raise OutputError(f"Expected {URL_FORM} or mqtts://..., got {url!r}.")
    return Broker(parts.hostname, port, parts.scheme == "mqtts", parts.username and unquote(parts.username), prefix)


def _is_prefix(prefix: str) -> bool:
    printable = all(each.isprintable() and each not in "+#\ufffd" for each in prefix)  # no lone surrogate is printable
    return printable and not prefix.startswith("$") and len(prefix.encode()) <= _MOST_PREFIX_BYTES


def base_topic(broker: Broker, machine: str, gateway: str) -> str:
    """Return PREFIX/GATEWAY/MACHINE."""
    return f"{broker.prefix}/{topic_part(gateway)}/{topic_part(machine)}"


def gateway_of(options: MqttOptions, tell: Callable[[str], None] = lambda _: None) -> str:
    """Return what the gateway is called in topics."""
    return options.gateway or gateway_name(tell=tell)


class _NotedContext(ssl.SSLContext):
    """A context that knows whether it came to TLS: until then the broker was not reached at all."""

    handshakes = 0

    def wrap_socket(self, *args: object, **more: object) -> ssl.SSLSocket:
        """Begin TLS on a socket that is connected."""
        self.handshakes += 1
        return super().wrap_socket(*args, **more)  # type: ignore[arg-type]


def tls_context(broker: Broker, options: MqttOptions) -> _NotedContext | None:
    """Return what TLS is made with, None without TLS.

    Raises:
        SettingsError: If options do not go together.
        OutputError: If a file cannot be used.
    """
    if not broker.tls:
        given = next((name for name in ("ca", "cert", "key") if getattr(options, name) is not None), None)
        if given is not None:
            raise SettingsError(f"--mqtt-{given} is of no use with mqtt://, which has no TLS. Type mqtts://.")
        return None
    if options.key is not None and options.cert is None:
        raise SettingsError("Expected --mqtt-cert with --mqtt-key: a key is of no use without its certificate.")
    context = _NotedContext(ssl.PROTOCOL_TLS_CLIENT)
    if options.ca is None:
        context.load_default_certs()
    else:
        _load_ca(context, options.ca)
    if options.cert is not None:
        _load_client(context, options.cert, options.key)
    return context


def _load_ca(context: ssl.SSLContext, path: Path) -> None:
    _expect_file(path, "a file of certificates", "--mqtt-ca")
    try:
        context.load_verify_locations(path)
    except (OSError, ValueError) as exc:
        raise OutputError(f"Expected a file of certificates (PEM) with --mqtt-ca, got {path}: {exc}.") from exc


def _load_client(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    _expect_file(cert, "a client certificate", "--mqtt-cert")
    if key is not None:
        _expect_file(key, "the private key of the client certificate", "--mqtt-key")
    asked: list[str] = []

    def passphrase() -> str:
        asked.append(PASSPHRASE)  # and not at a terminal, which a service has not
        return os.environ.get(PASSPHRASE, "")

    try:
        context.load_cert_chain(cert, key, passphrase)
    except (OSError, ValueError) as exc:
        raise OutputError(_words_of_pair(cert, key, exc, bool(asked))) from exc


def _words_of_pair(cert: Path, key: Path | None, exc: Exception, encrypted: bool) -> str:
    if encrypted:
        return f"The private key in {key or cert} is encrypted: put its passphrase into {PASSPHRASE}."
    if getattr(exc, "reason", None) == "KEY_VALUES_MISMATCH":
        return (
            f"The certificate {cert} and the private key {key or cert} do not belong together. "
            "Give the pair that was made together with --mqtt-cert and --mqtt-key."
        )
    where = f"{cert} and {key}" if key else f"{cert}, which must hold the private key as well without --mqtt-key"
    return f"Expected a client certificate and its private key (PEM) in {where}: {exc}."


def _expect_file(path: Path, what: str, option: str) -> None:
    """Refuse what cannot be read, and what is no file: a pipe or a serial port would be waited for."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_FILE_BYTES:
            with path.open("rb"):
                return
    except OSError as exc:
        raise OutputError(f"Could not read {what} at {path}: {exc.strerror}. Correct {option}.") from exc
    raise OutputError(f"Expected {what} at {path}, got no regular file of at most 1 MB. Correct {option}.")
