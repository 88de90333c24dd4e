"""Llama 3's tokenizer (Grattafiori et al. 2024, section 3.2): byte-pair encoding of bytes, with words of its own.

How words are cut is in `pretokens`. A word that is a token is taken whole, and not put together by merges. A text that
is to be gone on with begins with <|begin_of_text|>, and ends with <|end_of_text|>, or, where the model talks,
<|eot_id|>. Special tokens that stand in a text are themselves, so that a conversation can be written down:

>>> tokenizer = Llama3Tokenizer.train("the cat sat; the cat sat", vocab_size=300)
>>> ids = tokenizer.encode("the cat<|eot_id|>the")
>>> [tokenizer.text(id) for id in ids]
['the', ' cat', '<|eot_id|>', 'the']
"""

from .bpe import BPETokenizer
from .special import Special
from .tokenizer import Tokenizer, field

BEGIN, END, TURN = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
SPECIAL = (BEGIN, END, "<|start_header_id|>", "<|end_header_id|>", TURN)


class Llama3Tokenizer(Tokenizer):
    """tokens: [bytes], by id; merges: [(left id, right id)], by rank, as for BPE; special: texts, among the tokens

    ValueError for tables that are not like that.
    """

    name = "llama3"

    def __init__(self, tokens, merges, special=SPECIAL):
        super().__init__(tokens)
        self.bpe = BPETokenizer(tokens, merges, rule="llama3", whole=True)
        self.special = {text: self.bpe.ids.get(text.encode("utf-8")) for text in special}
        if missing := [text for text in (BEGIN, END, *special) if self.special.get(text) is None]:
            raise ValueError(f"the vocabulary has no special {', '.join(missing)}")
        self.begin, self.end = self.special[BEGIN], self.special[END]
        self.parts = Special(dict.fromkeys(special, False))

    @classmethod
    def train(cls, text, vocab_size):
        """A tokenizer of the 256 bytes, merges, as many as there is room for and pairs come twice, and SPECIAL."""
        n = len(SPECIAL)
        if vocab_size < n + 256:
            raise ValueError(f"vocab_size={vocab_size} has no room for {n} special tokens and the 256 bytes")
        text = Special(dict.fromkeys(SPECIAL, False)).rule.sub(" ", text)
        bpe = BPETokenizer.train(text, vocab_size - n, rule="llama3")
        return cls([*bpe.tokens, *(text.encode("utf-8") for text in SPECIAL)], bpe.merges)

    def encode(self, text):
        """text   ->   ids (T) int64, without <|begin_of_text|>. ValueError for half a surrogate pair."""
        return self.encode_with_offsets(text)[0]

    def encode_with_offsets(self, text):
        """text   ->   ids (T) int64, offsets (T, 2): where in the text each token begins, and ends"""
        return self.parts.encode(text, self.special, lambda part, first: self.bpe.encode_with_offsets(part))

    def text(self, id):
        """A token as text; U+FFFD for parts of characters."""
        return self.token_bytes(id).decode("utf-8", errors="replace")

    def to_json(self):
        return self.bpe.to_json() | {"special": list(self.special)}

    @classmethod
    def from_json(cls, data):
        bpe, special = BPETokenizer.from_json(data), field(data, "special", list)
        if not all(isinstance(text, str) for text in special):
            raise ValueError("its 'special' are not all strings")
        return cls(bpe.tokens, bpe.merges, special)
