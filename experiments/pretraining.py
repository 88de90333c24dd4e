"""Pre-training: a BERT of two layers learns from what Python says about itself, and fills the gaps of other sentences.

python -m experiments.pretraining           results/pretraining.json; the run is in runs/pretraining, and goes on there

These are the settings of `minitransformer pretrain`. What the text is depends on the version of Python, and so do the
figures; its hash is kept with them.
"""

from dataclasses import asdict
from pathlib import Path

from minitransformer import use_backend
from minitransformer.files import to_json, write_atomically
from minitransformer.models import MaskedLanguageModel
from minitransformer.pretrained import load_pretrained, save_pretrained
from minitransformer.reading import fill_mask
from minitransformer.training.run import machine
from minitransformer.training.tasks import PretrainingSettings

from .results import FOLDER, THREADS
from .whole_run import whole_run

SETTINGS = PretrainingSettings(pieces=2)
OUT = Path("runs/pretraining")
GAPS = (  # chosen before anything was learnt
    "Return the [MASK] of the list.",
    "This function returns a new [MASK].",
    "If the file does not [MASK], an error is raised.",
    "A ValueError is [MASK] if the argument is negative.",
    "The [MASK] argument is optional.",
    "Return True if the object [MASK] an instance of the class.",
)


def learn(out, settings=SETTINGS, threads=THREADS):
    """One run, from nothing or from where it was interrupted, its folder as published, and what the model says."""
    run = whole_run(out, settings, threads)
    if not (out / "model").exists():
        save_pretrained(out / "model", run.model, run.training.p, run.tokenizer)
    return {
        "settings": asdict(run.settings),
        "machine": machine(),
        "data": run.task.data,
        "learnt": len(run.task.learn.ids),
        "baseline": run.task.baseline,
        "records": [record.as_dict() for record in run.records()],
        "gaps": guesses(out / "model"),
    }


def guesses(folder):
    """[[sentence, [[token, chance], ...]], ...] of the model in a folder"""
    found = load_pretrained(folder, head=MaskedLanguageModel)
    answers = fill_mask(found.model, found.p, found.tokenizer, GAPS, top=4)
    return [[text, [[token, round(chance, 3)] for token, chance in masks[0]]] for text, masks in zip(GAPS, answers)]


if __name__ == "__main__":
    use_backend("cpu")
    write_atomically(FOLDER / "pretraining.json", to_json(learn(OUT), indent=None))
