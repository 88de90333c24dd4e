"""Dates as people write them: every input has one answer, the answer is right, and what is held out was never seen."""

import re
from datetime import date

import numpy as np
import pytest

from minitransformer.data.dates import FORMATS, characters, days, iso, splits, texts, write
from minitransformer.tokenizers import CharTokenizer

NAMES = tuple(FORMATS)

EXAMPLES = {
    "en-long": {"1994-03-03": "March 3, 1994", "2099-12-31": "December 31, 2099", "1900-02-28": "February 28, 1900"},
    "en-weekday": {
        "1994-03-03": "Thursday, March 3rd, 1994",
        "2000-01-01": "Saturday, January 1st, 2000",
        "2024-02-29": "Thursday, February 29th, 2024",
        "1911-11-12": "Sunday, November 12th, 1911",
        "2001-10-22": "Monday, October 22nd, 2001",
        "1969-07-20": "Sunday, July 20th, 1969",
    },
    "en-words": {
        "1994-03-03": "the third of March, 1994",
        "1950-08-21": "the twenty-first of August, 1950",
        "2012-06-12": "the twelfth of June, 2012",
        "2040-05-30": "the thirtieth of May, 2040",
    },
    "en-abbreviated": {"1994-03-03": "3 Mar 1994", "2033-09-18": "18 Sep 2033"},
    "en-figures": {"1994-03-03": "3/3/1994", "2004-05-06": "5/6/2004", "1999-12-31": "12/31/1999"},
    "en-short": {
        "1994-03-05": "03/05/94",
        "1969-01-01": "01/01/69",
        "2068-12-31": "12/31/68",
        "2000-10-02": "10/02/00",
    },
    "de-long": {"1994-03-03": "3. März 1994", "2017-10-31": "31. Oktober 2017"},
    "de-weekday": {"1994-03-03": "Donnerstag, den 3. März 1994", "1989-11-08": "Mittwoch, den 8. November 1989"},
    "de-words": {
        "1994-03-03": "der dritte März 1994",
        "1987-05-30": "der dreißigste Mai 1987",
        "2020-07-31": "der einunddreißigste Juli 2020",
        "1930-01-12": "der zwölfte Januar 1930",
    },
    "de-figures": {"1994-03-03": "03.03.1994", "2004-05-06": "06.05.2004", "1999-12-31": "31.12.1999"},
    "de-short": {"1994-03-05": "5.3.94", "1969-01-01": "1.1.69", "2068-12-31": "31.12.68", "2000-10-02": "2.10.00"},
    "fr-long": {"1994-03-03": "3 mars 1994", "1916-08-01": "1er août 1916", "1916-08-11": "11 août 1916"},
    "fr-weekday": {"1994-03-03": "le jeudi 3 mars 1994", "2022-02-01": "le mardi 1er février 2022"},
    "fr-figures": {"1994-03-03": "03-03-1994", "2004-05-06": "06-05-2004", "1999-12-31": "31-12-1999"},
    "es-long": {"1994-03-03": "3 de marzo de 1994", "2001-09-01": "1 de septiembre de 2001"},
    "es-weekday": {"1994-03-03": "jueves, 3 de marzo de 1994", "2023-12-30": "sábado, 30 de diciembre de 2023"},
    "es-short": {"1994-03-03": "3-mar-94", "1969-01-01": "1-ene-69", "2068-08-31": "31-ago-68"},
}


@pytest.fixture(scope="module")
def everything():
    """Every pair of a format and a day it can write: the texts, and the pairs (N, 2)."""
    pairs = [(f, d) for f, name in enumerate(NAMES) for d, day in enumerate(days()) if write(name, day) is not None]
    return [write(NAMES[f], days()[d]) for f, d in pairs], np.array(pairs)


def plain(text):
    """What noise leaves as it is."""
    return " ".join(text.casefold().split())


def test_the_days_are_all_days_of_two_centuries():
    assert len(days()) == 200 * 365 + 49  # 1900 was no leap year, 2000 was
    assert iso(days()[0]) == "1900-01-01"
    assert iso(days()[-1]) == "2099-12-31"
    assert len(set(days())) == len(days())
    assert list(days()) == sorted(days())


@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    assert {answer: write(name, date.fromisoformat(answer)) for answer in EXAMPLES[name]} == EXAMPLES[name]


CALENDAR = """
2001-01-01|Monday, January 1st     |Montag, den 1. Januar      |le lundi 1er janvier   |lunes, 1 de enero
2005-02-22|Tuesday, February 22nd  |Dienstag, den 22. Februar  |le mardi 22 février    |martes, 22 de febrero
2011-03-23|Wednesday, March 23rd   |Mittwoch, den 23. März     |le mercredi 23 mars    |miércoles, 23 de marzo
2016-04-21|Thursday, April 21st    |Donnerstag, den 21. April  |le jeudi 21 avril      |jueves, 21 de abril
2019-05-31|Friday, May 31st        |Freitag, den 31. Mai       |le vendredi 31 mai     |viernes, 31 de mayo
2022-06-11|Saturday, June 11th     |Samstag, den 11. Juni      |le samedi 11 juin      |sábado, 11 de junio
2026-07-12|Sunday, July 12th       |Sonntag, den 12. Juli      |le dimanche 12 juillet |domingo, 12 de julio
1901-08-13|Tuesday, August 13th    |Dienstag, den 13. August   |le mardi 13 août       |martes, 13 de agosto
1939-09-03|Sunday, September 3rd   |Sonntag, den 3. September  |le dimanche 3 septembre|domingo, 3 de septiembre
1957-10-04|Friday, October 4th     |Freitag, den 4. Oktober    |le vendredi 4 octobre  |viernes, 4 de octubre
1922-11-02|Thursday, November 2nd  |Donnerstag, den 2. November|le jeudi 2 novembre    |jueves, 2 de noviembre
2099-12-30|Wednesday, December 30th|Mittwoch, den 30. Dezember |le mercredi 30 décembre|miércoles, 30 de diciembre
"""


@pytest.mark.parametrize("row", CALENDAR.strip().splitlines())
def test_months_and_weekdays(row):
    answer, *texts = map(str.strip, row.split("|"))
    day = date.fromisoformat(answer)
    for language, between, text in zip(("en", "de", "fr", "es"), (", ", " ", " ", " de "), texts, strict=True):
        assert write(f"{language}-weekday", day) == f"{text}{between}{day.year}"


def test_abbreviated_months():
    months = [date(2000, month, 5) for month in range(1, 13)]
    english = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    spanish = "ene feb mar abr may jun jul ago sep oct nov dic".split()
    assert [write("en-abbreviated", day) for day in months] == [f"5 {name} 2000" for name in english]
    assert [write("es-short", day) for day in months] == [f"5-{name}-00" for name in spanish]


def test_ordinals_follow_their_rules():
    january = [date(2000, 1, day) for day in range(1, 32)]
    english = ["", *(write("en-words", day).split()[1] for day in january)]
    german = ["", *(write("de-words", day).split()[1] for day in january)]
    irregular = (
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth"
    )
    assert english[1:15] == irregular.split()
    assert english[15:20] == [f"{stem}teenth" for stem in ("fif", "six", "seven", "eigh", "nine")]
    assert english[20:] == ["twentieth", *(f"twenty-{unit}" for unit in english[1:10]), "thirtieth", "thirty-first"]
    assert german[1:13] == "erste zweite dritte vierte fünfte sechste siebte achte neunte zehnte elfte zwölfte".split()
    assert german[13:20] == [f"{stem}zehnte" for stem in "drei vier fünf sech sieb acht neun".split()]
    units = "ein zwei drei vier fünf sechs sieben acht neun".split()
    assert german[20:30] == ["zwanzigste", *(f"{unit}undzwanzigste" for unit in units)]
    assert german[30:] == ["dreißigste", "einunddreißigste"]


def test_every_language_has_two_formats_or_more():
    languages = [name.split("-")[0] for name in NAMES]
    assert {language: languages.count(language) >= 2 for language in languages} == dict.fromkeys(
        ("en", "de", "fr", "es"), True
    )


def test_every_input_has_one_answer_and_comes_from_one_format(everything):
    written, _ = everything
    assert len({plain(text) for text in written}) == len(
        written
    )  # so noise, which `plain` takes away, mixes up nothing


FIGURES = re.compile(r"(\d+)([/.-])(\d+)\2(\d+)")
MONTH_FIRST = {"/": True, ".": False, "-": False}


def test_figures_follow_their_separator(everything):
    found = dict.fromkeys(MONTH_FIRST, 0)
    for text, (_, d) in zip(everything[0], everything[1].tolist()):
        figures = FIGURES.fullmatch(text)
        if figures:
            first, separator, second, year = figures.groups()
            month, day = map(int, (first, second) if MONTH_FIRST[separator] else (second, first))
            century = "" if len(year) == 4 else "19" if year >= "69" else "20"
            assert iso(days()[d]) == f"{century}{year}-{month:02}-{day:02}", text
            found[separator] += 1
    assert found == {"/": 73049 + 36525, ".": 73049 + 36525, "-": 73049}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("year", [1900, 1968, 1969, 2068, 2069, 2099])
def test_two_digits_are_enough_for_a_hundred_years(name, year):
    two_digits = name.endswith("-short")
    assert (write(name, date(year, 7, 14)) is None) == (two_digits and not 1969 <= year <= 2068)
    assert (write(name, date(year, 7, 14), np.random.default_rng(0)) is None) == (
        write(name, date(year, 7, 14)) is None
    )


# ----------------------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_space_and_case_alone(name, rng):
    for d in rng.integers(0, len(days()), 300):
        text = write(name, days()[d])
        noisy = write(name, days()[d], rng)
        assert (noisy is None) == (text is None)
        if text is not None:
            assert plain(noisy) == plain(text)
            assert " ".join(noisy.split()) in (text, text.lower(), text.upper())
            assert "   " not in noisy.strip() and len(noisy) - len(noisy.strip()) <= 2


def test_all_kinds_of_noise_come(rng):
    day = date(1987, 5, 30)
    drawn = [write("de-words", day, rng) for _ in range(500)]
    assert write("de-words", day) in drawn
    for kind in (" der", "mai 1987 ", "der  dreißigste", "dreißigste  mai", "mai  1987", "DER DREISSIGSTE MAI 1987"):
        share = np.mean([kind in text or kind in text.lower() for text in drawn])
        assert 0.01 < share < 0.6, kind
    exact = [text.strip() for text in drawn]
    for text in ("der dreißigste Mai 1987", "der dreißigste mai 1987", "DER DREISSIGSTE MAI 1987"):
        assert text in exact


def test_case_knows_umlauts_and_accents():
    class Upper:
        """A generator that always draws capitals and never a stray space."""

        def integers(self, n):
            return n - 1

        def random(self, n):
            return np.ones(n)

    assert write("de-long", date(1994, 3, 3), Upper()) == "3. MÄRZ 1994"
    assert write("de-words", date(1994, 3, 30), Upper()) == "DER DREISSIGSTE MÄRZ 1994"
    assert write("fr-long", date(1994, 12, 1), Upper()) == "1ER DÉCEMBRE 1994"
    assert write("es-weekday", date(1994, 3, 2), Upper()) == "MIÉRCOLES, 2 DE MARZO DE 1994"


def test_noise_follows_from_the_generator():
    pairs = splits().training[::10007]
    drawn = [texts(pairs, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_unknown_format_is_named():
    with pytest.raises(ValueError, match="unknown format 'en'; there are: en-long, .*es-short"):
        write("en", date(1994, 3, 3))


def test_the_alphabet_is_what_occurs(everything):
    found = set("0123456789- ").union(*everything[0])
    found |= set("".join(found).lower() + "".join(found).upper())
    assert characters() == "".join(sorted(found))


def test_the_alphabet_serves_a_tokenizer(rng):
    tokenizer = CharTokenizer(characters())
    for pair in texts(splits().training[rng.integers(0, len(splits().training), 1000)], rng):
        for text in pair:
            assert tokenizer.decode(tokenizer.encode(text)) == text


# ---------------------------------------------------------------------------------------------------------- splits


def times(pairs):
    """How often each pair is there: (formats, days)."""
    cells = len(days()) * pairs[:, 0].astype(int) + pairs[:, 1]
    return np.bincount(cells, minlength=len(NAMES) * len(days())).reshape(len(NAMES), -1)


def test_splits_are_disjoint_and_waste_nothing(everything):
    assert len(splits().held_out_pairs) == len(splits().held_out_days) == 1500
    there, used = times(everything[1]), sum(times(part) for part in splits())
    assert (used <= there).all()  # nothing twice, neither in one nor in two; nothing that cannot be written
    assert set(np.flatnonzero((used < there).any(0))) <= set(splits().held_out_days[:, 1])


def test_held_out_days_are_in_no_training_pair():
    training, _, held_out_days = splits()
    assert len(set(held_out_days[:, 1].tolist())) == 1500
    assert not np.isin(training[:, 1], held_out_days[:, 1]).any()


def test_held_out_pairs_are_of_days_seen_in_every_other_format():
    training, held_out_pairs, held_out_days = splits()
    assert not np.isin(held_out_pairs[:, 1], held_out_days[:, 1]).any()
    seen = times(training).sum(0)
    for _, d in held_out_pairs.tolist():
        assert seen[d] == sum(write(name, days()[d]) is not None for name in NAMES) - 1


def test_every_format_is_held_out():
    _, *held_out = splits()
    for part in held_out:
        assert np.bincount(part[:, 0], minlength=len(NAMES)).min() >= 20


def test_splits_follow_from_the_seed():
    first, again, other = splits(3), splits(3), splits(4)
    for a, b, c in zip(first, again, other):
        assert a.dtype == np.int32
        np.testing.assert_array_equal(a, b)
        assert a.shape != c.shape or (a != c).any()


def test_texts_are_inputs_and_answers():
    pairs = np.array([[NAMES.index("fr-long"), days().index(date(2000, 2, 29))], [0, 0]], np.int32)
    assert texts(pairs) == [("29 février 2000", "2000-02-29"), ("January 1, 1900", "1900-01-01")]
