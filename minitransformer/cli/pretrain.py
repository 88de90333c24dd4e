"""Pre-train a BERT or a RoBERTa on text: your own files, or what every Python says about itself.

minitransformer pretrain                                            a small BERT, tokenizer and all
minitransformer pretrain --text FILE... --model roberta             another kind, on your text
minitransformer pretrain --text FILE... --from path/to/bert         a published one goes on with your text

The run goes into a folder, and the model into FOLDER/model, as it is published. Ctrl-C saves; `--resume FOLDER` goes on
bit for bit.
"""

from pathlib import Path

from .training_run import add_training_options, flag, train

HELP = "pre-train a BERT on text"
BACKEND = "cpu"
OUT = "runs/bert"
OF_THE_MODEL = ("model", "layers", "heads", "width", "dropout")  # a folder that is begun with says these
OF_THE_TOKENIZER = ("vocab_size",)


def arguments(parser):
    from ..training.tasks import PretrainingTask

    add = parser.add_argument
    add("--text", nargs="+", metavar="FILE", help="UTF-8 text files to learn from")
    add("--tokenizer", metavar="FOLDER", help="take the tokenizer of this published model, and train none")
    add("--from", dest="begun", metavar="FOLDER", help="go on with this published model, tokenizer and all")
    add_training_options(parser, PretrainingTask.settings_class, OUT)


def run(args):
    from ..training.tasks import PretrainingTask

    more, there = found(args)
    free_model(args)
    return train(args, PretrainingTask, args.text, OUT, more, there, publish)


def found(args):
    """The settings and what `Run.start` need not make, of the folder that is named. ValueError for what contradicts."""
    if args.tokenizer is not None and args.begun is not None:
        raise ValueError("--from brings a tokenizer: it does not go with --tokenizer")
    name, folder = ("--tokenizer", args.tokenizer) if args.begun is None else ("--from", args.begun)
    if folder is None:
        return {}, {}
    if args.resume:
        raise ValueError(f"a resumed run keeps what it began with: {name} cannot go with --resume")
    said = OF_THE_TOKENIZER if args.begun is None else OF_THE_MODEL + OF_THE_TOKENIZER
    if given := [flag(each) for each in said if getattr(args, each) is not None]:
        raise ValueError(f"{folder} says it already: {', '.join(given)} cannot go with {name}")
    return of_tokenizer(args) if args.begun is None else of_model(args)


def of_tokenizer(args):
    from ..pretrained import read_tokenizer
    from ..training.tasks.objectives import OBJECTIVES

    kind = args.model or "bert"
    if kind not in OBJECTIVES:
        raise ValueError(f"unknown model {kind!r}; there are: {', '.join(OBJECTIVES)}")
    return {"tokenizer": args.tokenizer}, {"tokenizer": read_tokenizer(Path(args.tokenizer), kind)}


def of_model(args):
    import numpy as np

    from ..finetuning.head import load_body, published
    from ..models import MaskedLanguageModel
    from ..pretrained import ARCHITECTURES
    from ..training.tasks import PretrainingSettings
    from ..training.tasks.objectives import OBJECTIVES

    body = load_body(args.begun, MaskedLanguageModel)
    kind = body.config["model_type"]
    if kind not in OBJECTIVES:
        raise ValueError(f"{args.begun} holds a {kind}; pre-trained are: {', '.join(OBJECTIVES)}")
    model = OBJECTIVES[kind].head(body.model.body)
    p = model.init(np.random.default_rng(args.seed or 0)) | {"body": body.p["body"]}
    drawn = {part: published(args.begun, ARCHITECTURES[kind], model, part, p[part]) for part in p if part != "body"}
    more = {"begun": args.begun, "tokenizer": args.begun, "model": kind, "dropout": model.body.dropout_rate}
    if args.context is None:
        more["context"] = min(model.body.context_length, PretrainingSettings.context)
    return more, {"tokenizer": body.tokenizer, "model": model, "p": p | drawn}


def free_model(args):
    """FileExistsError where something lies where the model is to go, and is none of ours to overwrite."""
    from ..pretrained import is_published

    folder = Path(args.resume or args.out or OUT) / "model"
    if not folder.exists():
        return
    if not is_published(folder):
        raise FileExistsError(f"{folder} is there already, and holds no published model: it is not overwritten")
    if not (args.resume or args.overwrite):
        raise FileExistsError(f"{folder} is there already: --out names another folder, --overwrite begins anew in it")


def publish(run):
    """The model of the last step as it is published, in FOLDER/model.

    What a process that was ended in the midst of this has left goes first: what was being written, its files' own
    temporary names, and the folder that was to be replaced.
    """
    import os

    from ..files import TEMPORARY, only_writer, publish_folder, remove_folder
    from ..pretrained import save_pretrained
    from .training_run import say

    folder = run.folder / "model"
    temporary = folder.with_name(f".model.{os.getpid()}.new{TEMPORARY}")
    with only_writer(run.folder / "checkpoint"):
        for name in (".model.*.new", "..model.*", "model.old.*"):
            for leftover in run.folder.glob(name + TEMPORARY):
                remove_folder(leftover)
        save_pretrained(temporary, run.model, run.training.p, run.tokenizer)
        if folder.exists():
            remove_folder(folder)
        publish_folder(temporary, folder)
    say(
        f"the model is in {folder}, as it is published: fill-mask, embed and finetune read it, and so does transformers"
    )
