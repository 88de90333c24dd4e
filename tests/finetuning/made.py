"""Data with something in it to learn, made here; and small published folders to begin from."""

import json

import numpy as np

from minitransformer.models import BERT, GPT2, MaskedLanguageModel
from minitransformer.pretrained import save_pretrained
from minitransformer.tokenizers import BPETokenizer, WordPieceTokenizer
from minitransformer.tokenizers.wordpiece import SPECIAL

THINGS = ["film", "book", "cat", "dog", "house", "song", "garden", "train"]
GOOD, BAD = ["good", "great", "fine", "lovely"], ["bad", "awful", "poor", "ugly"]
PEOPLE, CITIES = ["ada", "bob", "cleo", "dan", "eve", "finn"], ["rome", "paris", "oslo", "lima", "cairo", "delhi"]
WORDS = ["the", "was", "is", "not", "in", "where", "who", "it", "van", "saw", "?", ".", "##s"]
TOKENIZER = WordPieceTokenizer([*SPECIAL, *THINGS, *GOOD, *BAD, *PEOPLE, *CITIES, *WORDS])
BODY = BERT(TOKENIZER.vocab_size, 24, 2, n_layers=2, n_heads=2, d_model=24, d_ff=48, dropout_rate=0.0)


def bert_folder(folder, model=None, seed=0, labels=None):
    """A published folder of random weights, with the head of masked tokens if none is given."""
    model = model or MaskedLanguageModel(BODY)
    p = model.init(np.random.default_rng(seed))
    save_pretrained(folder, model, p, TOKENIZER, labels=labels)
    return p


def gpt2_folder(folder, text, seed=0):
    tokenizer = BPETokenizer.train(text, 270)
    model = GPT2(tokenizer.vocab_size, 16, n_layers=2, n_heads=2, d_model=24, dropout_rate=0.0)
    p = model.init(np.random.default_rng(seed))
    save_pretrained(folder, model, p, tokenizer)
    return p


def written(path, n, draw, unlike=None):
    """n examples, a line each or some, of which none stands in the file `unlike`."""
    seen, found = unlike.read_text(encoding="utf-8") if unlike else "", []
    while len(found) < n:
        each = draw()
        if each not in seen:
            found.append(each)
    path.write_text("\n".join(found) + "\n", encoding="utf-8")
    return path


def opinions(path, n, rng, unlike=None):
    """label<TAB>text: what is not bad is good, so that no single word tells."""

    def draw():
        good, negated = rng.integers(0, 2, 2)
        said = f"it was {'not ' * negated}{rng.choice(GOOD if good else BAD)}"
        return f"{'bad' if good == negated else 'good'}\t{rng.choice(PEOPLE)} saw the {rng.choice(THINGS)} and {said}"

    return written(path, n, draw, unlike)


def names(path, n, rng, unlike=None):
    """A word a line: people and places, some people with two names."""

    def draw():
        more = ["van X I-PER", f"{rng.choice(THINGS)} X I-PER"] * rng.integers(0, 2)
        rest = ["saw X O", "the X O", f"{rng.choice(THINGS)} X O", "in X O", f"{rng.choice(CITIES)} X B-LOC", ""]
        return "\n".join([f"{rng.choice(PEOPLE)} X B-PER", *more, *rest])

    return written(path, n, draw, unlike)


def questions(path, n, rng, unlike=None):
    """Who, or where, of a text that says both, at one place or another: a line of JSON each."""

    def draw():
        who, where = f"{rng.choice(PEOPLE)} van {rng.choice(PEOPLE)}", str(rng.choice(CITIES))
        seen = f"the {rng.choice(THINGS)} saw {who}"
        text = f"{seen} in {where}" if rng.integers(0, 2) else f"in {where} {seen}"
        question, answer = (("who is it?", who), ("where is it?", where))[rng.integers(0, 2)]
        return json.dumps({"question": question, "text": text, "answer": answer, "begin": text.index(answer)})

    return written(path, n, draw, unlike)


def writing(path, n, rng, unlike=None):
    """A text whose sentences are alike; `unlike` is not heeded."""
    text = " ".join(f"the {rng.choice(THINGS)} was {rng.choice(GOOD)}." for _ in range(n))
    path.write_text(text, encoding="utf-8")
    return path


def squad(path):
    """Two articles as in SQuAD: several answers to a question, and one without any."""
    first = [
        {
            "question": "where is ada?",
            "answers": [{"text": "rome", "answer_start": 10}, {"text": "in rome", "answer_start": 7}],
        },
        {"question": "where is dan?", "answers": [], "is_impossible": True},
    ]
    second = [{"question": "where is bob?", "answers": [{"text": "oslo", "answer_start": 10}]}]
    contexts = [("ada is in rome.", first), ("bob is in oslo.", second)]
    data = [{"title": "t", "paragraphs": [{"context": text, "qas": asked}]} for text, asked in contexts]
    path.write_text(json.dumps({"version": "1.1", "data": data}), encoding="utf-8")
    return path
