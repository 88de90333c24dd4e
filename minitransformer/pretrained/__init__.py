"""Published models: folders as on the Hugging Face hub, in and out. No pickle, and no library of theirs is needed.

FOLDER/config.json                      the architecture (`model_type`) and its sizes
       model.safetensors                the tensors; or in shards, model.safetensors.index.json says which is where
       vocab.json, merges.txt           the tokenizer of a GPT-2, or a RoBERTa; or both in tokenizer.json
       vocab.txt                        the tokenizer of a BERT, and tokenizer_config.json; or tokenizer.json
       tokenizer.json                   the tokenizer of a LLaMA, or a Llama 3; for LLaMA also tokenizer.model
"""

from .folder import (
    ARCHITECTURES,
    Pretrained,
    ends_of,
    is_published,
    labels_of,
    length_of,
    load_model,
    load_pretrained,
    lowers,
    pooling_of,
    save_pretrained,
)
from .tokenizers import read_tokenizer
