"""Train a GPT on text: the Python Language Reference, which every Python carries, or your own files.

The run goes into a folder. Ctrl-C saves a checkpoint; `--resume FOLDER` goes on bit for bit.
"""

from .training_run import add_training_options, train

HELP = "train a GPT on text"
BACKEND = "cpu"
ON_DEVICE = True
OUT = "runs/gpt2"


def arguments(parser):
    from ..training.tasks import TextTask

    parser.add_argument("--text", nargs="+", metavar="FILE", help="UTF-8 text files to learn from")
    add_training_options(parser, TextTask.settings_class, OUT)


def run(args):
    from ..training.tasks import TextTask

    return train(args, TextTask, args.text, OUT)
