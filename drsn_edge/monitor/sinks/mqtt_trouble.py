"""Problems with an MQTT broker in words that tell what to type, and how often they are reported."""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Callable

from drsn_edge.support.notice import Notice

_QUIET_S = (60.0, 3600.0)
"""A problem that returns within the first time (s) is not reported again; that time doubles up to the second."""


class Trouble:
    """The problem with a broker, reported when it begins and when it ends; less often if it comes and goes."""

    def __init__(self, tell: Callable[[str], None], now_s: Callable[[], float] = time.monotonic) -> None:
        """Begin without a problem; `tell` is called with messages, `now_s` is a monotonic clock."""
        self._tell, self._now_s = tell, now_s
        self._next_s, self._quiet_s = -math.inf, _QUIET_S[0]
        self._aside_s = -math.inf
        self._is_said = False
        self.words: str | None = None
        """The present problem; None without one."""

    def begin(self, words: str) -> None:
        """Record a problem that begins or continues."""
        self.words = words
        now_s = self._now_s()
        if self._is_said or now_s < self._next_s:
            return
        again = now_s < self._next_s + self._quiet_s
        self._quiet_s = min(2 * self._quiet_s, _QUIET_S[1]) if again else _QUIET_S[0]
        self._next_s, self._is_said = now_s + self._quiet_s, True
        self._tell(words)

    def end(self, words: str) -> None:
        """Record the end of a problem, if there was one."""
        self.words = None
        if self._is_said:
            self._is_said = False
            self._tell(Notice(words))

    def aside(self, words: str) -> None:
        """Report something that is not a problem of this connection, at most once a minute."""
        if self._now_s() >= self._aside_s + _QUIET_S[0]:
            self._aside_s = self._now_s()
            self._tell(words)


def why_not_reached(where: str, trouble: Exception | None, began_tls: bool) -> str:
    """Return why a broker could not be reached, and what to type.

    Args:
        where: Host and port of the broker.
        trouble: Error that was raised.
        began_tls: Whether the broker was reached and TLS began.
    """
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return (
            f"The certificate of the MQTT broker {where} is not valid: {trouble.verify_message}. Give the certificate "
            "of the authority that signed it with --mqtt-ca, and use the host name that it was issued for."
        )
    if began_tls or isinstance(trouble, ssl.SSLError):
        return _words_of_tls(where, trouble)
    why = f": {getattr(trouble, 'strerror', None) or trouble}" if trouble is not None else ""
    return f"The MQTT broker {where} cannot be reached{why}. Decisions wait in memory."


def _words_of_tls(where: str, trouble: Exception | None) -> str:
    reason = (getattr(trouble, "reason", None) or str(trouble)).replace("_", " ").lower()
    if "alert" in reason or "certificate" in reason:
        return (
            f"TLS failed with the MQTT broker {where}: {reason}. It may require a client certificate: add --mqtt-cert "
            "FILE --mqtt-key FILE."
        )
    return (
        f"TLS failed with the MQTT broker {where}: {reason}. That port may not use TLS: give the TLS port (usually "
        "8883) in mqtts://HOST:PORT, or use mqtt:// for a connection without encryption."
    )
