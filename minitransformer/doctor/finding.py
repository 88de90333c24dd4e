"""What an examination found: one line of the report."""

from typing import NamedTuple

VERDICTS = ("good", "note", "absent", "wrong")  # wrong: it is there, or has to be, and does not work


class Finding(NamedTuple):
    """`what` was looked at, and how it is; `advice`: what to do about it, where there is anything to be done."""

    what: str
    verdict: str
    found: str
    advice: str | None = None


def examined(what, look):
    """[Finding, ...] of look(), which may give several or one; what fails while it looks is a finding too."""
    try:
        found = look()
    except Exception as error:  # whatever it is: a doctor who faints helps nobody
        return [Finding(what, "wrong", f"could not be looked at: {type(error).__name__}: {one_line(error)}")]
    return [found] if isinstance(found, Finding) else list(found)


def one_line(error):
    """What an error says, on one line."""
    return " ".join(str(error).split()) or "it says no more"
