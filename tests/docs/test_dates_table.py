"""The table of date formats on the pages is made by the code that writes the dates."""

from datetime import date

from minitransformer.data import dates

from .test_pages import DOCS


def test_every_format_has_its_row(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    import generate

    head, _, *rows = generate.table_of_dates().splitlines()
    assert head.split(" | ")[1:3] == ["1994-03-01", "2001-08-21"]
    for name, row in zip(dates.FORMATS, rows, strict=True):
        cells = row.strip("| ").split(" | ")
        plain, other, noisy = (cell.strip("`") for cell in cells[1:])
        assert [cells[0], plain, other] == [
            name,
            *(dates.write(name, date.fromisoformat(d)) for d in head.split(" | ")[1:3]),
        ]
        assert " " not in noisy and " ".join(noisy.replace("␣", " ").split()).lower() == plain.lower()
