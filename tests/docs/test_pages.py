"""The pages of docs/, without building them: nothing registered lacks one, and what they show and say is so."""

import ast
import doctest
import importlib.util
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GENERATED = {"_build", "_generated", "museum.md"}
PAGES = sorted(path for path in DOCS.rglob("*.md") if not GENERATED & set(path.parts))
EXAMPLES = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def load(name):
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


registry = load("registry")
THINGS = registry.things()


def name_of(path):
    return path.relative_to(DOCS).as_posix()


def test_every_registered_thing_has_a_page_that_shows_its_code():
    assert len(THINGS) >= 24
    assert registry.problems(THINGS) == []


def test_losses_of_one_file_are_told_apart():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)  # for the modules beside it
        summary = load("generate").summary
    said = {name: summary(thing) for name, thing in THINGS.items() if thing.kind == "loss"}
    assert len(set(said.values())) == len(said) >= 8
    assert said["next_token_loss"] == "The cross-entropy of what comes next."


@pytest.fixture
def copy(tmp_path):
    """A copy of the pages, to be damaged."""
    shutil.copytree(DOCS, tmp_path / "docs", ignore=shutil.ignore_patterns("_*"))
    return tmp_path / "docs"


@pytest.mark.parametrize("name", sorted(THINGS))
def test_a_missing_page_is_found(name, copy):
    page = registry.page_of(THINGS[name])
    (copy / page).unlink()
    (problem,) = registry.problems({name: THINGS[name]}, copy)
    assert problem.startswith(f"{name} (") and page.as_posix() in problem


@pytest.mark.parametrize("name", sorted(THINGS))
def test_a_page_without_the_code_is_found(name, copy):
    page = copy / registry.page_of(THINGS[name])
    for names in registry.due(THINGS[name]):
        whole = page.read_text(encoding="utf-8")
        shown = "|".join(map(re.escape, names))
        page.write_text(re.sub(rf"^:pyobject: (?:{shown})$", ":pyobject: other", whole, flags=re.MULTILINE), "utf-8")
        (problem, *_) = registry.problems({name: THINGS[name]}, copy)
        assert page.name in problem and any(each in problem for each in names)
        page.write_text(whole, "utf-8")


def objects(source):
    """The names of all functions and classes in a file, and of the methods: what `:pyobject:` may ask for."""
    found = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
            found |= {f"{node.name}.{part.name}" for part in ast.iter_child_nodes(node) if hasattr(part, "name")}
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if registry.includes(page)], ids=name_of)
def test_what_a_page_includes_is_there(page):
    for source, name in registry.includes(page):
        assert source.is_file(), f"{name_of(page)} includes {source}, which is not there"
        assert name is None or name in objects(source), f"{name_of(page)}: {name} is not in {source.name}"


@pytest.mark.parametrize("page", [page for page in PAGES if EXAMPLES.search(page.read_text("utf-8"))], ids=name_of)
def test_the_numbers_on_a_page(page):
    """Every example that a page shows, run from top to bottom as one."""
    text = page.read_text(encoding="utf-8")
    examples = "\n".join(EXAMPLES.findall(text))
    test = doctest.DocTestParser().get_doctest(examples, {}, name_of(page), str(page), 0)
    assert test.examples
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not said, "".join(said)
