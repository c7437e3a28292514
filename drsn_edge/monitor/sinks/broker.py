"""Address, identity and TLS of an MQTT connection, checked before a monitor starts and without a broker."""

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
PASSWORD = "DRSN_EDGE_MQTT_PASSWORD"  # the name of a variable, not a password
URL_FORM = "mqtt://[USER@]HOST[:PORT][/PREFIX]"
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_MOST_PREFIX_BYTES = 200
_MOST_FILE_BYTES = 1_000_000


@dataclass(frozen=True)
class Broker:
    """An MQTT broker.

    Attributes:
        host: Host name or address.
        port: TCP port.
        tls: Whether the connection uses TLS; the broker's certificate is then verified.
        user: User name; None: anonymous.
        prefix: Prefix of every topic, without outer slashes.
    """

    host: str
    port: int
    tls: bool
    user: str | None
    prefix: str


@dataclass(frozen=True)
class MqttOptions:
    """Options of an MQTT connection.

    Attributes:
        gateway: GATEWAY in the topics PREFIX/GATEWAY/MACHINE; None: `gateway_name`.
        client_id: Client id; None: made from gateway, machine and prefix, the same at each start.
        topics: One of `drsn_edge.monitor.sinks.names.TOPICS`.
        ca: File of certificates that verify the broker; None: those of the system.
        cert: File of the client certificate (PEM); None: no client certificate.
        key: File of its private key (PEM); None: the key is in the certificate file.
    """

    gateway: str | None = None
    client_id: str | None = None
    topics: str = "plain"
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


PLAIN = MqttOptions()
"""The defaults."""


def parse_url(url: str) -> Broker:
    """Parse `mqtt://[USER@]HOST[:PORT][/PREFIX]`, or mqtts:// for TLS.

    Raises:
        OutputError: If the URL is invalid, or holds a password, which other users of the machine could see.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        (parts.hostname or "").encode("idna")
    except ValueError as exc:
        words = f"{url!r} is not a valid MQTT URL: {exc}. Write {URL_FORM}."
        raise OutputError(words, "invalid_url", got=url) from exc
    if parts.password is not None:
        words = f"The MQTT URL has a password, which others can see. Put the password into the variable {PASSWORD}."
        raise OutputError(words, "password_in_url")
    prefix = unquote(parts.path).strip("/") or "drsn-edge"
    if not (parts.hostname and parts.scheme in _PORTS and not {"?", "#"} & set(url) and _is_prefix(prefix)):
        words = f"{url!r} is not a valid MQTT URL. Write {URL_FORM}, or mqtts://... for TLS."
        raise OutputError(words, "invalid_url", got=url)
    return Broker(parts.hostname, port, parts.scheme == "mqtts", parts.username and unquote(parts.username), prefix)


def _is_prefix(prefix: str) -> bool:
    printable = all(
        each.isprintable() and each not in "+#\ufffd" for each in prefix
    )  # lone surrogates are not printable
    return printable and not prefix.startswith("$") and len(prefix.encode()) <= _MOST_PREFIX_BYTES


def base_topic(broker: Broker, machine: str, gateway: str) -> str:
    """Return PREFIX/GATEWAY/MACHINE."""
    return f"{broker.prefix}/{topic_part(gateway)}/{topic_part(machine)}"


def gateway_of(options: MqttOptions, tell: Callable[[str], None] = lambda _: None) -> str:
    """Return the name of the gateway in topics."""
    return options.gateway or gateway_name(tell=tell)


class _NotedContext(ssl.SSLContext):
    """A context that counts TLS handshakes: without one, the broker was not reached."""

    handshakes = 0

    def wrap_socket(self, *args: object, **more: object) -> ssl.SSLSocket:
        """Begin TLS on a connected socket."""
        self.handshakes += 1
        return super().wrap_socket(*args, **more)  # type: ignore[arg-type]


def tls_context(broker: Broker, options: MqttOptions) -> _NotedContext | None:
    """Return the TLS context; None without TLS.

    Raises:
        SettingsError: If options contradict each other.
        OutputError: If a file cannot be used.
    """
    if not broker.tls:
        given = next((name for name in ("ca", "cert", "key") if getattr(options, name) is not None), None)
        if given is not None:
            words = f"--mqtt-{given} changes nothing with mqtt://, which has no TLS. Use mqtts://, or leave it out."
            raise SettingsError(words, "without_tls", option=f"--mqtt-{given}")
        return None
    if options.key is not None and options.cert is None:
        words = "--mqtt-key needs its certificate. Add --mqtt-cert FILE, or leave --mqtt-key out."
        raise SettingsError(words, "no_certificate", option="--mqtt-key")
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
        words = f"{path} is not a file of certificates (PEM): {exc}. Correct --mqtt-ca."
        raise OutputError(words, "invalid_certificates", path=path, option="--mqtt-ca") from exc


def _load_client(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    _expect_file(cert, "a client certificate", "--mqtt-cert")
    if key is not None:
        _expect_file(key, "the private key of the client certificate", "--mqtt-key")
    asked: list[str] = []

    def passphrase() -> str:
        asked.append(PASSPHRASE)  # never at a terminal, which a service lacks
        return os.environ.get(PASSPHRASE, "")

    try:
        context.load_cert_chain(cert, key, passphrase)
    except (OSError, ValueError) as exc:
        raise _pair_error(cert, key, exc, bool(asked)) from exc


def _pair_error(cert: Path, key: Path | None, exc: Exception, encrypted: bool) -> OutputError:
    if encrypted:
        words = f"The private key in {key or cert} is encrypted. Put its passphrase into the variable {PASSPHRASE}."
        return OutputError(words, "encrypted_key", path=key or cert)
    if getattr(exc, "reason", None) == "KEY_VALUES_MISMATCH":
        words = (
            f"The certificate {cert} and the private key {key or cert} do not belong together. "
            "Give --mqtt-cert and --mqtt-key from the same pair."
        )
        return OutputError(words, "key_mismatch", cert=cert, key=key or cert)
    where = f"{cert} and {key}" if key else f"{cert}, which must also hold the private key without --mqtt-key"
    words = f"Could not load the client certificate and its private key (PEM) from {where}: {exc}."
    return OutputError(words, "invalid_pair", cert=cert, key=key)


def _expect_file(path: Path, what: str, option: str) -> None:
    """Refuse a path that cannot be read or is not a regular file: reading a pipe or a serial port would block."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode) and status.st_size <= _MOST_FILE_BYTES:
            with path.open("rb"):
                return
    except OSError as exc:
        words = f"Could not read {what} at {path}: {exc.strerror}. Correct {option}."
        raise OutputError(words, "cannot_read", path=path, option=option, reason=exc.strerror) from exc
    words = f"Could not read {what} at {path}: it is not a regular file of at most 1 MB. Correct {option}."
    raise OutputError(words, "not_a_file", path=path, option=option)
