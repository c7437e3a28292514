"""A limit on memory for code of others that believes what a file says of itself.

Libraries in C take the memory that a damaged or malicious file asks for, before they find that the file does not hold
as much. A limit on the address space makes such a request fail, which they report as an error.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drsn_edge.support.invalid import InvalidValueError

_STATM = Path("/proc/self/statm")
_WORDS = ("unable to allocate", "allocation failed", "out of memory", "malloc")

_one_at_a_time = threading.RLock()


@contextmanager
def at_most(more_bytes: int) -> Iterator[None]:
    """Let this process take some more memory inside the block, and no more; only Linux has such a limit.

    The limit is of the whole process: keep the block short, and let no other code run inside it, as a generator would.

    Args:
        more_bytes: Most memory beyond what the process has, in bytes.

    Raises:
        InvalidValueError: If the code in the block fails because it asks for more.
    """
    with _one_at_a_time:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        lowered = _lowered(soft, more_bytes)
        if lowered is not None:
            resource.setrlimit(resource.RLIMIT_AS, (lowered, hard))
        try:
            yield
        except Exception as exc:
            if isinstance(exc, MemoryError) or any(words in str(exc).lower() for words in _WORDS):
                words = f"it asks for more than {more_bytes / 1e6:.0f} MB of memory"
                raise InvalidValueError(words, "asks_for_memory", limit_bytes=more_bytes) from exc
            raise
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _lowered(soft: int, more_bytes: int) -> int | None:
    """Return the new limit; None if there is none to set, or the present one is lower."""
    try:
        taken = int(_STATM.read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    wanted = taken + more_bytes
    return wanted if soft == resource.RLIM_INFINITY or wanted < soft else None
