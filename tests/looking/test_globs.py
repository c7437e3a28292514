from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drsn_edge.looking.globs import globs_for, number_globs
from drsn_edge.recordings.loading.catalogue import Entry

PATHS = st.lists(
    st.from_regex(r"\A(?:[ab\[][0-9a-c_]{0,2}/){0,2}[a-c0-2_*\[.]{1,6}[.]csv\Z"), min_size=1, max_size=25, unique=True
)


@given(PATHS, st.data())
@settings(max_examples=150, deadline=None)
def test_globs_match_what_was_wanted_and_nothing_else(paths: list[str], data: st.DataObject) -> None:
    top = {path for path in paths if "/" not in path}
    paths = [path for path in paths if "/" not in path or path.rpartition("/")[2] not in top]
    wanted = set(data.draw(st.lists(st.sampled_from(paths), min_size=1, unique=True)))
    entry = Entry("", {}, globs_for(wanted, paths))
    assert {path for path in paths if entry.is_for(path)} == wanted


@given(st.lists(st.integers(0, 1200), min_size=1, max_size=200, unique=True), st.data(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_numbers_are_matched_by_ranges(numbers: list[int], data: st.DataObject, padded: bool) -> None:
    paths = [f"b/{number:05}.csv" if padded else f"b/{number}.csv" for number in sorted(numbers)]
    first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(paths) - 1)] * 2)))
    wanted = set(paths[first : last + 1])
    for globs in (globs_for(wanted, paths), number_globs(sorted(wanted), paths, 999)):
        entry = Entry("", {}, globs)
        assert {path for path in paths if entry.is_for(path)} == wanted
    assert len(globs_for(wanted, paths)) <= 14


def test_folders_and_common_words_give_one_glob() -> None:
    paths = [f"{folder}/{number}.csv" for folder in ("healthy", "worn") for number in range(30)]
    assert globs_for(paths[:30], paths) == ("healthy/*",)
    paths = [f"pump{number}_{label}.csv" for number in range(12) for label in ("healthy", "outer_race", "race")]
    assert globs_for([path for path in paths if "healthy" in path], paths) == ("*healthy*",)
    assert globs_for(paths[:3], paths) == ("pump0*",)


def test_beginnings_cover_what_has_no_word_in_common() -> None:
    paths = [f"2003.10.{day:02}.{hour:02}.00" for day in range(10, 20) for hour in range(12)]
    assert globs_for(paths[:60], paths) == tuple(f"2003.10.{day}.*" for day in range(10, 15))
