"""The door of every operation: what does not fit is turned away there, with the shapes that would have fitted."""


class Shapes:
    """Holds the arrays of a call to the shapes that its operation declares, and says what did not fit.

    A specification is read left to right: a letter is a length that must be the same wherever the letter stands,
    `B|1` is that length or 1, `...` is any number of leading axes (the same everywhere), a number is itself.
    `int` or `bool` before the axes asks for that kind of array instead of a floating one; in brackets, the array
    may be absent. All floating arrays of a call have one dtype, which is returned: nothing is cast silently.
    """

    def __init__(self, forward, shapes):
        self.name = forward.__name__
        code = forward.__code__
        self.arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        self.specs = [(name, *self.parse(text)) for name, text in shapes.items()]

    @staticmethod
    def parse(text):
        optional = text.startswith("[")
        words = text.strip("[]").split()
        kind = words.pop(0) if words and words[0] in ("int", "bool") else "float"
        axes = tuple((word[:-2], True) if word.endswith("|1") else (word, False) for word in words)
        return text, optional, {"int": "iu", "bool": "b", "float": "f"}[kind], kind, axes

    def __call__(self, args, static):
        given = dict(zip(self.arguments, args), **static)
        lengths, dtype = {}, None
        for name, text, optional, kinds, kind, axes in self.specs:
            if name in self.arguments:
                array = given.get(name)
            else:
                array = given["p"].get(name) if isinstance(given.get("p"), dict) else None
            if array is None:
                if optional:
                    continue
                raise ValueError(f"{self.name}: there is no {name} ({text})")
            if not hasattr(array, "shape") or array.dtype.kind not in kinds:
                what = getattr(array, "dtype", type(array).__name__)
                raise TypeError(f"{self.name}: {name} must be an array of kind {kind}, not {what}")
            if kind == "float":
                if dtype is not None and array.dtype != dtype[1]:
                    raise TypeError(f"{self.name}: {name} is {array.dtype}, but {dtype[0]} is {dtype[1]}")
                dtype = (name, array.dtype)
            self.fit(name, text, array.shape, axes, lengths)
        return dtype and dtype[1]

    def fit(self, name, text, shape, axes, lengths):
        if axes and axes[0][0] == "...":
            cut = len(shape) - len(axes) + 1
            if cut < 0:
                self.refuse(name, text, shape, lengths)
            if lengths.setdefault("...", shape[:cut]) != shape[:cut]:
                self.refuse(name, text, shape, lengths)
            shape_left, axes = shape[cut:], axes[1:]
        else:
            shape_left = shape
        if len(shape_left) != len(axes):
            self.refuse(name, text, shape, lengths)
        for length, (letter, or_one) in zip(shape_left, axes):
            if or_one and length == 1:
                continue
            if (int(letter) if letter.isdigit() else lengths.setdefault(letter, length)) != length:
                self.refuse(name, text, shape, lengths)

    def refuse(self, name, text, shape, lengths):
        known = ", ".join(f"{letter} = {length}" for letter, length in lengths.items())
        raise ValueError(f"{self.name}: {name} has shape {shape}, expected ({text}){' with ' + known if known else ''}")
