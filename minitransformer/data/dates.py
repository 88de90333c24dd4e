"""Dates as people write them, in four languages, and the same dates in ISO 8601: translation whose data needs no files.

    "the third of March, 1994"     "Donnerstag, den 3. März 1994"     " 3-MAR-94"     ->     "1994-03-03"

All days of 1900-2099. Every input has one answer: in figures, the separator fixes the order ("/" month first, as in
the United States; "." and "-" day first), and two digits of a year, 69-99, are 19xx and 00-68 are 20xx, as POSIX has
it (strptime, %y). The noise of `write` is stray spaces and case, nothing else; no two dates differ in these alone.
"""

from datetime import date, timedelta
from functools import cache
from typing import NamedTuple

import numpy as np

YEARS = range(1900, 2100)
SHORT_YEARS = range(1969, 2069)  # those that two digits stand for


def table(names):
    """Names by their number, from 1 on."""
    return "", *names.split()


MONTHS = {
    "en": table("January February March April May June July August September October November December"),
    "de": table("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
    "fr": table("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
    "es": table("enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"),
}
ABBREVIATED_MONTHS = {
    "en": table("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"),
    "es": table("ene feb mar abr may jun jul ago sep oct nov dic"),
}
WEEKDAYS = {
    "en": table("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "de": table("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"),
    "fr": table("lundi mardi mercredi jeudi vendredi samedi dimanche"),
    "es": table("lunes martes miércoles jueves viernes sábado domingo"),
}
ORDINALS = {
    "en": table(
        "first second third fourth fifth sixth seventh eighth ninth tenth "
        "eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth "
        "twenty-first twenty-second twenty-third twenty-fourth twenty-fifth "
        "twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"
    ),
    "de": table(
        "erste zweite dritte vierte fünfte sechste siebte achte neunte zehnte "
        "elfte zwölfte dreizehnte vierzehnte fünfzehnte sechzehnte siebzehnte achtzehnte neunzehnte zwanzigste "
        "einundzwanzigste zweiundzwanzigste dreiundzwanzigste vierundzwanzigste fünfundzwanzigste "
        "sechsundzwanzigste siebenundzwanzigste achtundzwanzigste neunundzwanzigste dreißigste einunddreißigste"
    ),
}
SUFFIXES = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}  # all others: th


def month(language, day):
    return MONTHS[language][day.month]


def short_month(language, day):
    return ABBREVIATED_MONTHS[language][day.month]


def weekday(language, day):
    return WEEKDAYS[language][day.isoweekday()]


def ordinal(language, day):
    return ORDINALS[language][day.day]


def english_day(day):
    return f"{day.day}{SUFFIXES.get(day.day, 'th')}"


def french_day(day):
    return "1er" if day.day == 1 else day.day


def two_digit_year(write):
    """A format that writes the last two digits of the year, if they are enough: None for other years."""
    return lambda day: write(day, f"{day.year % 100:02}") if day.year in SHORT_YEARS else None


FORMATS = {  # name -> a function: a date to its text, or None where the format cannot write that year
    "en-long": lambda day: f"{month('en', day)} {day.day}, {day.year}",
    "en-weekday": lambda day: f"{weekday('en', day)}, {month('en', day)} {english_day(day)}, {day.year}",
    "en-words": lambda day: f"the {ordinal('en', day)} of {month('en', day)}, {day.year}",
    "en-abbreviated": lambda day: f"{day.day} {short_month('en', day)} {day.year}",
    "en-figures": lambda day: f"{day.month}/{day.day}/{day.year}",
    "en-short": two_digit_year(lambda day, year: f"{day.month:02}/{day.day:02}/{year}"),
    "de-long": lambda day: f"{day.day}. {month('de', day)} {day.year}",
    "de-weekday": lambda day: f"{weekday('de', day)}, den {day.day}. {month('de', day)} {day.year}",
    "de-words": lambda day: f"der {ordinal('de', day)} {month('de', day)} {day.year}",
    "de-figures": lambda day: f"{day.day:02}.{day.month:02}.{day.year}",
    "de-short": two_digit_year(lambda day, year: f"{day.day}.{day.month}.{year}"),
    "fr-long": lambda day: f"{french_day(day)} {month('fr', day)} {day.year}",
    "fr-weekday": lambda day: f"le {weekday('fr', day)} {french_day(day)} {month('fr', day)} {day.year}",
    "fr-figures": lambda day: f"{day.day:02}-{day.month:02}-{day.year}",
    "es-long": lambda day: f"{day.day} de {month('es', day)} de {day.year}",
    "es-weekday": lambda day: f"{weekday('es', day)}, {day.day} de {month('es', day)} de {day.year}",
    "es-short": two_digit_year(lambda day, year: f"{day.day}-{short_month('es', day)}-{year}"),
}
CASES = (str, str.lower, str.upper)  # as it is, or all of it in one case
STRAY = 0.1  # how often a space is double, or stands before or behind the text


def write(format_name, day, rng=None):
    """A date as text, with noise drawn from `rng`, a NumPy generator, if there is one.

    None where the format cannot write that day. ValueError for an unknown format.
    """
    if format_name not in FORMATS:
        raise ValueError(f"unknown format {format_name!r}; there are: {', '.join(FORMATS)}")
    text = FORMATS[format_name](day)
    return text if rng is None or text is None else noisy(text, rng)


def noisy(text, rng):
    """The text in another case, perhaps, and with stray spaces, perhaps."""
    first, *words = CASES[rng.integers(len(CASES))](text).split(" ")
    before, behind, *double = (rng.random(2 + len(words)) < STRAY).tolist()
    spaced = [first, *((" ", "  ")[twice] + word for twice, word in zip(double, words))]
    return " " * before + "".join(spaced) + " " * behind


def iso(day):
    """The answer: year-month-day."""
    return day.isoformat()


@cache
def days():
    """Every day there is, in order; a day's place is its index."""
    first, end = date(YEARS.start, 1, 1), date(YEARS.stop, 1, 1)
    return tuple(first + timedelta(i) for i in range((end - first).days))


@cache
def characters():
    """Every character that an input or an answer can hold, in order. All names occur in one year."""
    year = [day for day in days() if day.year == SHORT_YEARS[0]]
    texts = [format(day) for format in FORMATS.values() for day in year] + [iso(day) for day in year]
    return "".join(sorted({character for case in CASES for character in case("".join(texts))}))


# ------------------------------------------------------------------------------------- what to learn, what to hold out


class Splits(NamedTuple):
    """Three arrays (N, 2) int32 of pairs: a format's place in `FORMATS`, a day's place in `days()`. All disjoint."""

    training: np.ndarray  # in no order that matters; shuffle it
    held_out_pairs: np.ndarray  # the day was seen in training, the format too, but never together
    held_out_days: np.ndarray  # the day was never seen in training


def splits(seed=0, held_out=1500):
    """All pairs of a format and a day it can write. Of 1,500 days one format is held out, of 1,500 others all are."""
    rng = np.random.default_rng(seed)
    writable = np.array([[format(date(year, 1, 1)) is not None for year in YEARS] for format in FORMATS.values()])
    training = writable[:, [day.year - YEARS.start for day in days()]]  # (formats, days) Boolean
    chosen = rng.permutation(len(days()))[: 2 * held_out]
    asked = np.array([rng.choice(np.flatnonzero(training[:, day])) for day in chosen])  # one format for each
    pairs = np.stack((asked, chosen), axis=1).astype(np.int32)
    training[asked[:held_out], chosen[:held_out]] = False
    training[:, chosen[held_out:]] = False
    return Splits(np.argwhere(training).astype(np.int32), pairs[:held_out], pairs[held_out:])


def texts(pairs, rng=None):
    """pairs (N, 2)   ->   [(input, answer)], strings; the inputs with noise if there is a generator"""
    names, calendar = tuple(FORMATS), days()
    return [(write(names[format], calendar[day], rng), iso(calendar[day])) for format, day in pairs.tolist()]
