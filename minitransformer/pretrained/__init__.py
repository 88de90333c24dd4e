"""Published models: folders as on the Hugging Face hub, in and out. No pickle, and no library of theirs is needed.

FOLDER/config.json                      the architecture (`model_type`) and its sizes
       model.safetensors                the tensors; or in shards, model.safetensors.index.json says which is where
       tokenizer.json                   the tokenizer, and what tokenizer_config.json says of it; or in its stead
       vocab.json, merges.txt           that of a GPT-2, or a RoBERTa; perhaps with added_tokens.json
       vocab.txt                        that of a BERT
       tokenizer.model                  that of a LLaMA, but not of a Llama 3; perhaps with added_tokens.json
"""

from .chat import chat_files
from .folder import (
    ARCHITECTURES,
    Pretrained,
    ends_of,
    is_published,
    labels_of,
    load_model,
    load_pretrained,
    save_pretrained,
    spare_rows,
)
from .sentences import length_of, lowers, pooling_of
from .tokenizers import read_tokenizer
