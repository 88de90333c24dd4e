"""Llama 3's tokenizer (Grattafiori et al. 2024, section 3.2): byte-pair encoding of bytes, with words of its own.

How words are cut is in `pretokens`. A word that is a token is taken whole, and not put together by merges. A text that
is to be gone on with begins with <|begin_of_text|>, and ends with <|end_of_text|>, or, where the model talks,
<|eot_id|>. Special tokens that stand in a text are themselves, so that a conversation can be written down:

>>> tokenizer = Llama3Tokenizer.train("the cat sat; the cat sat", vocab_size=300)
>>> ids = tokenizer.encode("the cat<|eot_id|>the")
>>> [tokenizer.text(id) for id in ids]
['the', ' cat', '<|eot_id|>', 'the']
"""

from .bpe import BPETokenizer, learnt_tables
from .special import Special

BEGIN, END, TURN = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
SPECIAL = (BEGIN, END, "<|start_header_id|>", "<|end_header_id|>", TURN)


class Llama3Tokenizer(BPETokenizer):
    """tokens: [bytes], by id; merges: [(left id, right id)], by rank, and special, as for BPE.

    <|begin_of_text|> and <|end_of_text|> must be special. ValueError for tables that are not like that.
    """

    name = rule = "llama3"
    whole = True

    def __init__(self, tokens, merges, special=SPECIAL):
        super().__init__(tokens, merges, special)
        if missing := [text for text in (BEGIN, END) if text not in self.special]:
            raise ValueError(f"the vocabulary has no special {', '.join(missing)}")
        self.begin, self.end = self.special[BEGIN], self.special[END]

    @classmethod
    def train(cls, text, vocab_size):
        """A tokenizer of the 256 bytes, merges, as many as there is room for and pairs come twice, and SPECIAL."""
        n = len(SPECIAL)
        if vocab_size < n + 256:
            raise ValueError(f"vocab_size={vocab_size} has no room for {n} special tokens and the 256 bytes")
        tokens, merges = learnt_tables(Special(SPECIAL).rule.sub(" ", text), vocab_size - n, cls.rule)
        return cls([*tokens, *(text.encode("utf-8") for text in SPECIAL)], merges)
