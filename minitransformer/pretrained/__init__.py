"""Published models: folders as on the Hugging Face hub, in and out. No pickle, and no library of theirs is needed.

FOLDER/config.json                      the architecture (`model_type`) and its sizes
       model.safetensors                the tensors; or in shards, model.safetensors.index.json says which is where
       vocab.json, merges.txt           the tokenizer; or both in tokenizer.json
"""

from .folder import ARCHITECTURES, END_OF_TEXT, Pretrained, is_published, load_model, load_pretrained, save_pretrained
