"""Unigram tokenizers, as T5, ALBERT and XLM-RoBERTa have them, in tokenizer.json."""

from ...files import read_json, to_json
from ...tokenizers import UnigramTokenizer
from ...tokenizers.sentencepiece import SPACE
from ..tensors import shown

SPACES = " {2,}"


def read_unigram(folder):
    """The tokenizer of a folder. ValueError naming the file that is missing, damaged or of another kind."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError(f"{folder} has no tokenizer: neither tokenizer.json nor spiece.model")
    data = read_json(path)
    try:
        return unigram_in_one(data)
    except (TypeError, KeyError, AttributeError, IndexError, ValueError) as error:
        raise ValueError(f"{path} is damaged or another tokenizer: {error}") from None


def unigram_in_one(data):
    model = data["model"]
    if (kind := model.get("type", "Unigram")) != "Unigram":
        raise ValueError(f"it is of the kind {shown(str(kind))}, and Unigram is needed")
    pieces, scores = [piece for piece, _ in model["vocab"]], [score for _, score in model["vocab"]]
    if type(unknown := model["unk_id"]) is not int or not 0 <= unknown < len(pieces):
        raise ValueError(f"its unk_id is {unknown!r}, and there are {len(pieces)} pieces")
    unknown, special = pieces[unknown], {}
    for token in data.get("added_tokens") or []:
        text, id = token["content"], token["id"]
        if id == len(pieces):
            pieces.append(text)
            scores.append(0.0)
        if not (type(id) is int and 0 <= id < len(pieces) and pieces[id] == text):
            raise ValueError(f"the token {shown(text)} was added with the id {id}, where there is another, or none")
        if wrong := [name for name in ("rstrip", "single_word") if token.get(name, False)]:
            raise ValueError(f"its token {shown(text)} has {', '.join(wrong)}, which is not here")
        special[text] = bool(token.get("lstrip", False))
    settings = words_of(data.get("pre_tokenizer")) | frame_of(data.get("post_processor"), pieces)
    settings |= {"special": special, "unknown": unknown, "steps": steps_of(data.get("normalizer"))}
    return UnigramTokenizer(pieces, scores, byte_fallback=model.get("byte_fallback", False), **settings)


# ----------------------------------------------------------------------------------------------------- normalisation


def steps_of(normalizer):
    """What `normalizers` does, of what stands in the file. ValueError for what it does not."""
    if normalizer is None:
        return []
    if normalizer["type"] == "Sequence":
        return [step for each in normalizer["normalizers"] for step in steps_of(each)]
    return [step_of(normalizer)]


def step_of(normalizer):
    what = {name: value for name, value in normalizer.items() if name != "type"}
    match normalizer["type"], what:
        case "Precompiled", {"precompiled_charsmap": str(table)}:
            return ["charsmap", table]
        case "Replace", {"pattern": {"String": str(old)}, "content": str(new)} if old:
            return ["replace", old, new]
        case "Replace", {"pattern": {"Regex": pattern}, "content": str(new)} if pattern == SPACES:
            return ["collapse", new]
        case "Strip", {"strip_left": bool(left), "strip_right": bool(right)}:
            return ["strip", left, right]
        case "Lowercase" | "NFKD" | "StripAccents" as name, {}:
            return [{"Lowercase": "lowercase", "NFKD": "nfkd", "StripAccents": "strip_accents"}[name]]
    raise ValueError(f"its normalizer has a step that is not here: {shown(str(normalizer))}")


def normalizer_of(steps):
    made = [made_of(*step) for step in steps]
    return made[0] if len(made) == 1 else {"type": "Sequence", "normalizers": made} if made else None


def made_of(name, *arguments):
    match name, arguments:
        case "charsmap", [table]:
            return {"type": "Precompiled", "precompiled_charsmap": table}
        case "replace", [old, new]:
            return {"type": "Replace", "pattern": {"String": old}, "content": new}
        case "collapse", more:
            return {"type": "Replace", "pattern": {"Regex": SPACES}, "content": more[0] if more else " "}
        case "strip", [left, right]:
            return {"type": "Strip", "strip_left": left, "strip_right": right}
        case "lowercase" | "nfkd" | "strip_accents", []:
            types = {"lowercase": "Lowercase", "nfkd": "NFKD", "strip_accents": "StripAccents"}
            return {"type": types[name]}
    raise ValueError(f"the step {name!r} of its normalisation has no published form")


# -------------------------------------------------------------------------------------------------------------- words


def words_of(pre_tokenizer):
    """{"before": where a space is put, "whitespace": whether it parts words} ValueError for other ways."""
    parts = pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    *before, last = parts
    whitespace = before == [{"type": "WhitespaceSplit"}]
    scheme = last.get("prepend_scheme", "always" if last.get("add_prefix_space", True) else "never")
    if (
        (before and not whitespace)
        or (last["type"], last["replacement"], last.get("split", True)) != ("Metaspace", SPACE, True)
        or scheme not in ("never", "first", "always")
        or (whitespace and scheme == "first")
    ):
        raise ValueError(f"its pre_tokenizer is {shown(str(pre_tokenizer))}, and Metaspace is needed")
    return {"before": scheme, "whitespace": whitespace}


def pre_tokenizer_of(settings):
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": settings.before, "split": True}
    if not settings.whitespace:
        return metaspace
    return {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}


# ------------------------------------------------------------------------------------------------------------- frames


def frame_of(processor, pieces):
    """The special tokens around one text and two, and the types. ValueError for other frames."""
    if processor is None:
        return {}
    if processor["type"] != "TemplateProcessing":
        raise ValueError(f"its post_processor is {shown(str(processor))}, and TemplateProcessing is needed")
    single = [token_in(part) for part in processor["single"]]
    texts = [text for text, _ in single]
    first, last = texts[: texts.index("A")], texts[texts.index("A") + 1 :]
    pair = [token_in(part) for part in processor["pair"]]
    second_type = pair[-1][1]
    frame = {"first": first[0] if first else None, "separator": last[0] if last else None, "second_type": second_type}
    for twice in (False, True):
        found = frame | {"twice": twice}
        if (single, pair) == templates(found):
            return found
    raise ValueError(f"its post_processor frames texts otherwise: {shown(str(processor))}")


def token_in(part):
    """What stands there, and its type: a special token's text, or "A" or "B", a text"""
    ((_, what),) = part.items()
    return what["id"], what["type_id"]


def templates(frame):
    """What frames one text, and two: [(text, type), ...]"""
    first = [] if frame["first"] is None else [(frame["first"], 0)]
    last = [] if frame["separator"] is None else [frame["separator"]]
    one = [*first, ("A", 0), *((text, 0) for text in last)]
    second = frame["second_type"]
    between = [(text, 0) for text in last] if frame["twice"] else []
    return one, [*one, *between, ("B", second), *((text, second) for text in last)]


def processor_of(tokenizer):
    settings = tokenizer.settings
    one, two = templates({name: getattr(settings, name) for name in ("first", "separator", "twice", "second_type")})
    special = dict.fromkeys(text for text in (settings.first, settings.separator) if text is not None)
    part = lambda text, kind: {"Sequence" if text in ("A", "B") else "SpecialToken": {"id": text, "type_id": kind}}
    return {
        "type": "TemplateProcessing",
        "single": [part(*each) for each in one],
        "pair": [part(*each) for each in two],
        "special_tokens": {text: {"id": text, "ids": [tokenizer.ids[text]], "tokens": [text]} for text in special},
    }


# ------------------------------------------------------------------------------------------------------------- writing


def unigram_files(tokenizer):
    """{file name: bytes}: tokenizer.json and tokenizer_config.json. ValueError for spaces that it has no word for."""
    settings = tokenizer.settings
    if settings.before == "one more":
        raise ValueError("a space before a text that has one has no published form here")
    how = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
    added = sorted((tokenizer.ids[text], text, takes) for text, takes in settings.special.items())
    metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": settings.before, "split": True}
    decoders = {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, metaspace]}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, "content": text, "lstrip": takes, **how} for id, text, takes in added],
        "normalizer": normalizer_of(settings.steps),
        "pre_tokenizer": pre_tokenizer_of(settings),
        "post_processor": processor_of(tokenizer),
        "decoder": decoders if settings.byte_fallback else metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": tokenizer.unknown,
            "vocab": [list(pair) for pair in zip(tokenizer.pieces, tokenizer.scores)],
            "byte_fallback": settings.byte_fallback,
        },
    }
    names = {"bos": settings.first, "eos": settings.separator, "unk": settings.unknown}
    names |= {
        "pad": tokenizer.pieces[tokenizer.pad],
        "mask": None if tokenizer.mask is None else tokenizer.pieces[tokenizer.mask],
    }
    special = {f"{role}_token": text for role, text in names.items() if text is not None}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    return {"tokenizer.json": to_json(whole), "tokenizer_config.json": to_json(config)}
