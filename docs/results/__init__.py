"""What the pages show of the experiments: tables and pictures, made from the results that are committed beside them.

Each file is an experiment, or some of a kind; its pages() are (file, content) of what it shows.
"""

from . import copying, dates, elmo, pretraining, published, sentences, story, ulmfit

EXPERIMENTS = (copying, dates, elmo, ulmfit, sentences, published, pretraining, story)


def everything():
    """(file, content) of all of it."""
    for experiment in EXPERIMENTS:
        yield from experiment.pages()
