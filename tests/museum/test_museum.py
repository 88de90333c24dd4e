"""The museum tells the truth: what is said to be blind passes the bug, what is said to catch it does.

Every claim is run on three draws, each of which stands in the name of the test.
"""

import inspect
import re
import textwrap

import numpy as np
import pytest

from . import page
from .rooms import ROOMS
from .sabotage import RUINS, ruins

EXHIBITS = [exhibit for room in ROOMS for exhibit in room.exhibits]
CATCHERS = {check for exhibit in EXHIBITS for check in exhibit.caught}
UNPROVEN = {check: exhibit for exhibit in EXHIBITS for check in exhibit.blind if check not in CATCHERS}

every_exhibit = pytest.mark.parametrize("exhibit", EXHIBITS, ids=lambda exhibit: exhibit.name)


@every_exhibit
def test_the_bug_passes_what_is_blind_to_it(exhibit, rng):
    assert failing(exhibit.blind, exhibit.wrong, rng) == {}


@every_exhibit
def test_the_bug_fails_what_catches_it(exhibit, rng):
    assert failing(exhibit.caught, exhibit.wrong, rng).keys() == {check.name for check in exhibit.caught}


@every_exhibit
def test_the_right_code_passes(exhibit, rng):
    assert failing(exhibit.checks, exhibit.right, rng) == {}


def failing(checks, subject, rng):
    """{name: what it measured} of the checks that the subject fails."""
    values = {check: check(subject, rng) for check in checks}
    return {check.name: value for check, value in values.items() if not check.passes(value)}


@pytest.mark.parametrize("check, exhibit", UNPROVEN.items(), ids=[f"{e.name}, {c.name}" for c, e in UNPROVEN.items()])
def test_what_is_only_ever_blind_can_see(check, exhibit, rng):
    """Or its blindness would mean nothing: of the ways to ruin the right code, it sees one at least."""
    assert any(failing([check], ruin, rng) for ruin in ruins(exhibit))


@every_exhibit
def test_an_exhibit_is_complete(exhibit):
    assert len(exhibit.story.split()) > 20
    assert exhibit.reported and all(re.fullmatch(r"[\w.-]+/[\w.-]+ \d+", thread) for thread in exhibit.reported)
    assert exhibit.blind and exhibit.caught and not set(exhibit.blind) & set(exhibit.caught)
    assert exhibit.wrong_code and exhibit.right_code and exhibit.wrong_code != exhibit.right_code


def test_no_two_exhibits_share_a_name():
    assert len({exhibit.name for exhibit in EXHIBITS}) == len(EXHIBITS) >= 20
    assert RUINS.keys() <= {exhibit.name for exhibit in EXHIBITS}


def test_a_table_has_no_gaps():
    for room in ROOMS:
        for exhibit in room.exhibits if room.table else ():
            assert set(exhibit.checks) == set(room.table)


# ------------------------------------------------------------------------------------------------------ the page


@pytest.fixture(scope="module")
def markdown():
    return page.museum_markdown()


@every_exhibit
def test_the_page_shows_it(markdown, exhibit):
    assert f"\n### {exhibit.name}\n" in markdown
    assert markdown.count(f"({page.label(exhibit)})=") == 1
    for function in (*exhibit.wrong_code, *exhibit.right_code):
        assert textwrap.dedent(inspect.getsource(function)).strip() in markdown
    for thread in exhibit.reported:
        assert page.link(thread) in markdown


@every_exhibit
def test_the_page_marks_what_caught_it(markdown, exhibit):
    """Once for each check that failed, in the table of the exhibit or in its row of the table of the room."""
    (room,) = [room for room in ROOMS if exhibit in room.exhibits]
    if room.table:
        (part,) = [
            line for line in markdown.splitlines() if line.startswith(f"| [{exhibit.name}]") and line.count("|") > 5
        ]
    else:
        part = markdown.split(f"\n### {exhibit.name}\n")[1].split("\n(bug-")[0].split("\n## ")[0]
    assert part.count("✗") == len(exhibit.caught)


@pytest.mark.parametrize(
    "value, text",
    [(0.0, "0"), (0.4968, "0.5"), (361.4, "361"), (3.4e-12, "3e-12"), (2e4, "2e4"), (np.nan, "NaN"), (np.inf, "∞")],
)
def test_numbers_are_short(value, text):
    assert page.number(value) == text


def test_tables_escape_their_bars():
    assert page.table(["a"], [["|w|"]]) == "| a |\n| --- |\n| \\|w\\| |\n"
