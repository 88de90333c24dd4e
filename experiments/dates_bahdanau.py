"""Where a recurrent decoder looks: a GRU with Bahdanau's attention learns dates, and one of them is read.

python -m experiments.dates_bahdanau    results/dates_bahdanau.json; the run is in runs/dates_bahdanau, and goes on

These are the settings of `minitransformer translate train --model gru --attention bahdanau --layers 1 --steps 1000`.
"""

from dataclasses import asdict
from pathlib import Path

from minitransformer import use_backend
from minitransformer.cli.attend import read
from minitransformer.cli.story import as_json
from minitransformer.files import write_atomically
from minitransformer.training.run import machine
from minitransformer.training.tasks import TranslationSettings

from .results import FOLDER, THREADS
from .whole_run import whole_run

SETTINGS = TranslationSettings(model="gru", attention="bahdanau", layers=1, steps=1000, pieces=2)
OUT = Path("runs/dates_bahdanau")
TEXT = "the third of March, 1994"


def learn(out, settings=SETTINGS, threads=THREADS):
    """One run, from nothing or from where it was interrupted, and where the model looks while it answers."""
    run = whole_run(out, settings, threads)
    (attention,), title = read(run.model, run.training.p, run.tokenizer, TEXT, None)
    return {
        "settings": {name: value for name, value in asdict(run.settings).items() if name != "text"},
        "machine": machine(),
        "records": [record.as_dict() for record in run.records()],
        "cross_attention": {
            "title": title,
            "source": attention.keys.tokens,
            "target": attention.queries.tokens,
            "weights": (1000 * attention.weights[0, 0]).round().astype(int).tolist(),  # of one layer and one head
        },
    }


if __name__ == "__main__":
    use_backend("cpu")
    write_atomically(FOLDER / "dates_bahdanau.json", as_json(learn(OUT)))
