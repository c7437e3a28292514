"""One table of verdicts, reasons and states: what is said has an entry.

docs/reference/verdicts.md is printed from it, which tests/documentation/test_reference.py checks.
"""

from __future__ import annotations

import re
from pathlib import Path

from drsn_edge import verdicts
from drsn_edge.support.fields import is_label
from drsn_edge.support.palette import colours_of
from drsn_edge.verdicts import HEALTHY_COLOUR, NO_CLASS, REASONS, STATES, VERDICTS, Verdict

ROOT = Path(__file__).parents[1]
TEXTS = {
    name: value
    for name, value in vars(verdicts).items()
    if re.fullmatch("[A-Z][A-Z_]+", name) and isinstance(value, str)
}


def test_every_verdict_reason_and_state_has_an_entry_that_is_a_sentence() -> None:
    assert set(VERDICTS) == set(Verdict)
    assert set(TEXTS.values()) - {HEALTHY_COLOUR} == set(REASONS) | set(STATES)
    sentences = [each.sentence for some in (VERDICTS, REASONS, STATES) for each in some.values()]
    for sentence in sentences:
        assert re.fullmatch(r"[A-Z].*[.?]", sentence)


def test_texts_that_files_hold_stay_as_they_are() -> None:
    assert [verdict.value for verdict in Verdict] == ["CLASS", "UNKNOWN", "UNSURE", "NO_VERDICT"]
    assert set(REASONS) == {
        "lost samples", "overrun", "flat line", "clipped", "stuck", "stuck bit", "wrapped", "spike", "dropouts",
        "repeated samples", "offset jumped", "axes inverted or swapped", "sample rate off", "device clock stopped",
        "noise alone", "LINK LOST", "NO SAMPLES", "TOO FEW SAMPLES", "not running", "skipped: this machine is too slow",
        "no decision yet", "unit doubted",
    }  # fmt: skip


def test_no_label_is_called_like_a_verdict_and_each_of_these_has_its_colour() -> None:
    names = [verdict.value for verdict in NO_CLASS]
    assert names and not any(map(is_label, names))
    assert list(colours_of([*names, "worn"]).items())[1:] == [(v.value, VERDICTS[v].colour) for v in NO_CLASS]


def test_outputs_take_the_words_from_the_table() -> None:
    """A verdict or a reason that is written out by hand would be missed by whoever adds one."""
    words = [*(verdict.value for verdict in NO_CLASS), *REASONS, *STATES]
    pattern = re.compile("|".join(rf'"{re.escape(each)}"' for each in words))
    files = [path for path in (ROOT / "drsn_edge").rglob("*.py") if path.name != "verdicts.py"]
    found = {f"{path.relative_to(ROOT)}: {each}" for path in files for each in pattern.findall(path.read_text())}
    assert found == {'drsn_edge/signal/amplitude.py: "stuck"'} & found
