"""What a model can be fine-tuned for, by the name that the command line has for it. A task has

    head                    the class of the model; None: the model itself
    read(path, tokenizer, length)           [example, ...] of a file
    labels_in(examples)     the names of the classes; none where there are none
    group(example)          what it has in common with others that may not stand on both sides of what is held out;
                            None: examples go on with each other
    loss                    the loss over a model
    rows(example)           [row, ...], what the model reads of an example, with its targets
    batch(rows)             the arguments of the loss
    scores(model, p, examples, loss)        what is measured on held-out examples, by name; loss: the mean over them
    best                    the score that says which epoch was best, and whether more of it is better: (name, True)

and is made from a tokenizer, the most tokens of a row, and the labels.
"""

from .answering import Answering
from .classification import Classification
from .language_model import LanguageModel
from .tagging import Tagging

TASKS = {"classify": Classification, "tag": Tagging, "answer": Answering, "lm": LanguageModel}
