"""One bug of each kind is seeded, and must be noticed. All places of all rungs: `python -m ...attention.bugs`."""

import json

import pytest

from minitransformer.kernels.cuda.attention.offline import source_hash
from tests.kernels.cuda.attention import bugs
from tests.kernels.cuda.attention.cases import cases_of


@pytest.mark.parametrize("bug", bugs.one_of_each_kind(), ids=lambda bug: f"{bug.kind}, {bug.where}")
def test_it_is_noticed(bug):
    before = bugs.noticed_by().get((bug.kind, bug.rung, bug.where.split(":")[0], bug.new))  # who is asked first
    assert bugs.caught(bug, before), f"{bug.old!r} -> {bug.new!r} in {bug.where} of {bug.rung}"


def test_every_bug_of_the_table_was_noticed():
    table = json.loads(bugs.RESULTS.read_text(encoding="utf-8"))
    assert all(row["caught"] for row in table["rows"])
    tried = [bugs.row_key(row) for row in table["rows"]]
    there_are = [(bug.kind, bug.rung, bug.where, bug.new) for bug in bugs.all_bugs()]
    assert sorted(tried) == sorted(there_are), f"python -m {bugs.__name__} makes it anew"
    for name, source in table["source"].items():
        assert source == source_hash(name), f"python -m {bugs.__name__} {name} makes it anew"


@pytest.mark.parametrize("rung, file", [("flash", "flash"), ("tensor_cores_float32", "tensor_cores_float32")])
def test_a_rung_without_a_bug_is_not_caught(rung, file, monkeypatch):
    """What notices bugs does not notice what is none, and it is that rung which it looks at."""
    bug = next(bug for bug in bugs.all_bugs() if (bug.rung, bug.file) == (rung, file))
    monkeypatch.setattr(bugs, "cases_of", lambda name: cases_of(name)[:2])
    assert bugs.caught(bug._replace(new=bug.old)) is None
