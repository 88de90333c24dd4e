"""Sentences of four subjects through a published encoder: which are near each other, and whether clusters find them.

python -m experiments.sentences FOLDER      a folder of sentence vectors as published, such as all-MiniLM-L6-v2

writes results/sentences.json: the vectors, rounded, and of them the similarities and the clusters.
"""

import argparse

import numpy as np

from minitransformer.files import to_json, write_atomically
from minitransformer.models import SentenceEncoder
from minitransformer.pretrained import load_pretrained
from minitransformer.reading import clusters, embed, similarity

from .results import FOLDER

SENTENCES = {
    "animals": (
        "A kitten chases a ball of wool.",
        "The cat is playing with a toy.",
        "Our pet pounces on everything that moves.",
    ),
    "money": (
        "Share prices fell sharply this morning.",
        "The stock market dropped today.",
        "Investors lost a fortune in the crash.",
    ),
    "cooking": (
        "Stir the flour into the melted butter.",
        "Add milk and eggs to the dough.",
        "Whisk the cream until it is stiff.",
    ),
    "weather": (
        "It has been raining since dawn.",
        "A storm is expected along the coast.",
        "Tomorrow will be cloudy and wet.",
    ),
}


def learn(folder):
    """What the page shows."""
    found = load_pretrained(folder, head=SentenceEncoder)
    texts = [text for group in SENTENCES.values() for text in group]
    vectors = embed(found.model, found.p, found.tokenizer, texts)
    return {
        "subjects": [subject for subject, group in SENTENCES.items() for _ in group],
        "sentences": texts,
        "similarity": np.round(similarity(vectors).astype(float), 3).tolist(),
        "clusters": clusters(vectors, len(SENTENCES)).tolist(),
        "plane": np.round(plane(vectors), 4).tolist(),
    }


def plane(vectors):
    """(N, 2): the vectors seen from where they are furthest apart, along their two principal axes."""
    centred = vectors - vectors.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return u[:, :2] * s[:2]


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.sentences", description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", metavar="FOLDER")
    args = parser.parse_args()
    write_atomically(FOLDER / "sentences.json", to_json(learn(args.folder), indent=None))


if __name__ == "__main__":
    main()
