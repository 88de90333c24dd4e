"""Libraries that are not required: what each of them is good for, and which extra of setup.cfg brings it."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple

from ..installing import install
from .finding import Finding


class Library(NamedTuple):
    package: str  # its name where packages are installed
    module: str  # its name where it is imported
    extra: str  # of setup.cfg
    use: str


OPTIONAL = (
    Library("matplotlib", "matplotlib", "plot", "pictures of losses and timings"),
    Library("sacrebleu", "sacrebleu", "translate", "scores of translations"),
    Library("pytest", "pytest", "test", "running the tests"),
    Library("torch", "torch", "parity", "comparing with PyTorch, results and timings"),
    Library("transformers", "transformers", "parity", "comparing with the published models"),
    Library("sphinx", "sphinx", "docs", "building the documentation"),
)


def optional(libraries=OPTIONAL):
    """A finding for each of them."""
    return [finding(library) for library in libraries]


def finding(library):
    found = version_of(library)
    if found is None:
        return Finding(library.package, "absent", f"not installed; it is for {library.use}", install(library.extra))
    return Finding(library.package, "good", f"{found}, for {library.use}")


def version_of(library):
    """Its version, or None where it is not installed. Nothing is imported: some of them take seconds."""
    try:
        there = find_spec(library.module) is not None
    except (ImportError, ValueError):  # half removed, or shadowed by something else of its name
        there = False
    if not there:
        return None
    try:
        return version(library.package)
    except PackageNotFoundError:
        return "of an unknown version"
