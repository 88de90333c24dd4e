"""Turn texts into vectors, near each other where the texts mean the same.

Without more, the similarity of every two texts is shown: the cosine of the angle between their vectors, from -1 to 1.
--clusters parts the texts, --out saves the vectors.
"""

import json

from .texts import load, show, text_arguments, texts_of

HELP = "turn texts into vectors, and compare them"
BACKEND = "cpu"
MOST_SHOWN = 40  # texts in a table of similarities
MOST_PARTED = 10_000  # the distances of every two take 400 MB


def arguments(parser):
    text_arguments(parser)
    parser.add_argument(
        "--pooling", choices=["mean", "first"], help="of a text's tokens (default: the folder's, or mean)"
    )
    parser.add_argument("--clusters", type=int, metavar="N", help="part the texts into N clusters")
    parser.add_argument("--out", metavar="FILE.npy", help="save the vectors, one row a text, in NumPy's format")


def run(args):
    import io
    from dataclasses import replace
    from pathlib import Path

    import numpy as np

    from ..files import write_atomically
    from ..models import SentenceEncoder
    from ..reading import clusters, embed, similarity

    texts = texts_of(args)
    path = None if args.out is None else Path(args.out)
    if path is not None and path.exists():
        raise ValueError(f"{path} is there already")
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder")
    if args.clusters is not None and not 1 <= args.clusters <= len(texts) <= MOST_PARTED:
        raise ValueError(
            f"{len(texts)} texts cannot be parted into {args.clusters} clusters; {MOST_PARTED} are the most"
        )
    if args.clusters is None and path is None and not args.json and len(texts) > MOST_SHOWN:
        raise ValueError(
            f"a table of {len(texts)} texts beside each other is too wide, {MOST_SHOWN} are the most: "
            "--clusters N parts them, --out FILE.npy saves their vectors, --json prints them"
        )
    model, p, tokenizer, _ = load(args.folder, SentenceEncoder)
    model = replace(model, pooling=args.pooling or model.pooling)
    vectors = embed(model, p, tokenizer, texts, truncate=args.truncate)
    if path is not None:
        data = io.BytesIO()
        np.save(data, vectors)
        write_atomically(path, data.getvalue())
    numbers = None if args.clusters is None else clusters(vectors, args.clusters).tolist()
    if args.json:
        for i, text in enumerate(texts):
            more = {} if numbers is None else {"cluster": numbers[i] + 1}
            print(json.dumps({"text": text, **more, "vector": vectors[i].tolist()}, ensure_ascii=False))
    elif numbers is not None:
        order = sorted(range(len(texts)), key=lambda i: numbers[i])
        show(args, [{"cluster": numbers[i] + 1, "text": texts[i]} for i in order], ["cluster", "text"])
    elif path is not None:
        print(f"{path}: {len(vectors)} vectors of width {vectors.shape[1]}")
    else:
        alike = similarity(vectors)
        columns = [str(j + 1) for j in range(len(texts))]
        rows = [
            {"": i + 1, **{c: f"{alike[i, j]:.2f}" for j, c in enumerate(columns)}, "text": text}
            for i, text in enumerate(texts)
        ]
        show(args, rows, ["", *columns, "text"])
