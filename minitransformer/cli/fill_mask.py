"""Say what could stand where a text has [MASK], or for a RoBERTa <mask>.

Each mask of each text is answered by the tokens that the model finds likeliest there, with their probabilities.
"""

from .texts import load, show, text_arguments, texts_of

HELP = "fill the masks of a text"
BACKEND = "cpu"


def arguments(parser):
    text_arguments(parser)
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many tokens (default: %(default)s)")


def run(args):
    from ..models import MaskedLanguageModel
    from ..reading import fill_mask

    texts = texts_of(args)
    model, p, tokenizer, _ = load(args.folder, MaskedLanguageModel)
    rows = [
        {"text": text, "mask": number, "token": token, "probability": chance}
        for text, masks in zip(texts, fill_mask(model, p, tokenizer, texts, top=args.top, truncate=args.truncate))
        for number, guesses in enumerate(masks, 1)
        for token, chance in guesses
    ]
    show(args, rows, ["text", "mask", "token", "probability"])
