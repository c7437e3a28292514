"""Globs of a catalogue: a set of paths in, few globs that match these and none of the others out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache
from itertools import groupby

_TOKENS = re.compile(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]")
_LONGEST_TOKENS = 8
_LISTED = 2
"""Most paths that are listed and not made a glob of."""
_LEAST_PART = 3
"""Fewest characters of a part of a name that files share by more than chance."""
_LAST_NUMBER = re.compile(r"(.*?)([0-9]{1,9})([^0-9]*)", re.DOTALL)
_SPECIAL = re.compile(r"([*?[])")


def globs_for(wanted: Collection[str], all_paths: Collection[str]) -> tuple[str, ...]:
    """Return globs that match exactly `wanted` among `all_paths`.

    A glob with a `/` is compared with the whole path, another with the file's name alone, as catalogues do.
    """
    chosen, paths = set(wanted), tuple(dict.fromkeys(all_paths))
    those = [path for path in paths if path in chosen]
    candidates = _folders(those) if len(those) <= _LISTED else (*_folders(those), *_words(those))
    for glob in candidates:
        if _is_exact(glob, chosen, paths):
            return (glob,)
    covering = tuple(_cover(those, [path for path in paths if path not in chosen]))
    return number_globs(those, paths, len(covering) - 1) or covering


def _is_exact(glob: str, wanted: set[str], paths: Sequence[str]) -> bool:
    return all(_matches(glob, path) == (path in wanted) for path in paths)


def _folders(wanted: Sequence[str]) -> list[str]:
    """Return globs for the folder that all share, and for folders of the same name anywhere."""
    common = _common_beginning(wanted)
    folder = common[: common.rfind("/") + 1]
    names = wanted[0].split("/")[:-1]
    return [*([f"{_escaped(folder)}*"] if folder else []), *(f"**/{_escaped(name)}/*" for name in names)]


def _words(wanted: Sequence[str]) -> list[str]:
    """Return globs by what all names begin with, then by what all names hold, the shortest first."""
    name = wanted[0].rpartition("/")[2]
    tokens = _TOKENS.findall(name)
    parts = {
        "".join(tokens[start:end])
        for start in range(len(tokens))
        for end in range(start + 1, min(start + _LONGEST_TOKENS, len(tokens)) + 1)
    }
    names = [path.rpartition("/")[2] for path in wanted]
    shared = sorted((part for part in parts if _says_something(part) and all(part in each for each in names)), key=len)
    begins = [part for part in shared if all(each.startswith(part) for each in names)]
    return [*(f"{_escaped(part)}*" for part in begins), *(f"*{_escaped(part)}*" for part in shared)]


def number_globs(wanted: Sequence[str], paths: Sequence[str], most: int) -> tuple[str, ...]:
    """Return globs of ranges of the last number of each path, such as `a/[1-9].csv`.

    Returns:
        The globs; empty if they are more than `most`, or match other paths as well.
    """
    chosen, numbers = set(wanted), _numbers_by_pattern(paths)
    globs = [
        f"{_escaped(before)}{digits}{_escaped(behind)}"
        for (before, behind), found in numbers.items()
        for low, high in _runs(found, chosen)
        for digits in _digit_globs(low, high)
    ]
    if not globs or len(globs) > most:
        return ()
    of_paths, of_names = (_any_of(glob for glob in globs if ("/" in glob) is has) for has in (True, False))
    exact = all((of_paths(path) or of_names(path.rpartition("/")[2])) == (path in chosen) for path in paths)
    return tuple(globs) if exact else ()


def _any_of(globs: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that tells whether any of the globs matches a text."""
    together = "|".join(map(translate, globs))
    return (lambda text: False) if not together else lambda text: re.match(together, text) is not None


def _numbers_by_pattern(paths: Sequence[str]) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return digits and path of each path, by what stands around its last number, in the order of the numbers."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for path in paths:
        match = _LAST_NUMBER.fullmatch(path)
        if match:
            found.setdefault((match[1], match[3]), []).append((match[2], path))
    return {around: sorted(each, key=lambda one: (len(one[0]), one[0])) for around, each in found.items()}


def _runs(numbers: Sequence[tuple[str, str]], chosen: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the first and the last digits of each run of chosen paths of as many digits."""
    for (_, is_chosen), run in groupby(numbers, key=lambda one: (len(one[0]), one[1] in chosen)):
        digits = [each for each, _ in run]
        if is_chosen:
            yield digits[0], digits[-1]


def _digit_globs(low: str, high: str) -> list[str]:
    """Return globs for the numbers from `low` to `high`, which have as many digits."""
    if low == high:
        return [low]
    if low[0] == high[0]:
        return [low[0] + rest for rest in _digit_globs(low[1:], high[1:])]
    rest, first, last = len(low) - 1, int(low[0]), int(high[0])
    begin = [] if low[1:] == "0" * rest else [low[0] + each for each in _digit_globs(low[1:], "9" * rest)]
    end = [] if high[1:] == "9" * rest else [high[0] + each for each in _digit_globs("0" * rest, high[1:])]
    first, last = first + bool(begin), last - bool(end)
    middle = [] if first > last else [(str(first) if first == last else f"[{first}-{last}]") + "[0-9]" * rest]
    return [*begin, *middle, *end]


def _common_beginning(paths: Sequence[str]) -> str:
    low, high = min(paths), max(paths)
    return next((low[:at] for at, one in enumerate(low) if one != high[at : at + 1]), low)


def _says_something(part: str) -> bool:
    """Tell whether a part of a name is there by more than chance."""
    return len(part) >= _LEAST_PART and any(map(str.isalpha, part))


def _cover(wanted: Sequence[str], others: Sequence[str], tried: int = 0) -> Iterator[str]:
    """Yield the shortest beginnings of more than `tried` characters that only wanted paths have, or whole paths."""
    if len(wanted) < 2:
        yield from map(_escaped, wanted)
        return
    common = _common_beginning(wanted)
    for start in dict.fromkeys((common[: common.rfind("/") + 1], common)):
        if len(start) > tried and _is_free(start, wanted) and not any(path.startswith(start) for path in others):
            yield f"{_escaped(start)}*"
            return
    within = [path for path in others if path.startswith(common)]
    by_next: dict[str, list[str]] = {}
    for path in wanted:
        by_next.setdefault(path[len(common) : len(common) + 1], []).append(path)
    for start, paths in by_next.items():
        yield from _cover(paths, [path for path in within if path.startswith(common + start)], len(common))


def _is_free(common: str, wanted: Sequence[str]) -> bool:
    """Tell whether a beginning without `/` is compared with the names that it was taken from."""
    return "/" in common or not any("/" in path for path in wanted)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"[\1]", text)


def _matches(glob: str, path: str) -> bool:
    subject = path if "/" in glob else path.rpartition("/")[2]
    if _compiled(glob).match(subject):
        return True
    return "**/" in glob and _compiled(glob.replace("**/", "")).match(path) is not None


@lru_cache(maxsize=512)
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def has_wildcard(glob: str) -> bool:
    """Tell whether a glob has a character with a meaning."""
    return _SPECIAL.search(glob) is not None
