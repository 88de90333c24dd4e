"""The door of every operation: what does not fit is turned away there, with the shapes that would have fitted."""

import re

MOST = 1000  # combinations of shapes that a door remembers


class Shapes:
    """Holds the arrays of a call to the shapes that its operation declares, and says what did not fit.

    A specification is read left to right: a letter is a length that must be the same wherever the letter stands,
    `B|1` is that length or 1, `4H` is four times it, `...` is any number of leading axes (the same everywhere), a
    number is itself. `int` or `bool` before the axes asks for that kind of array instead of a floating one; in
    brackets, the array may be absent. Parameters that are a tree have a dictionary of specifications. All floating
    arrays of a call have one dtype, which is returned: nothing is cast silently.
    """

    def __init__(self, forward, shapes):
        self.name = forward.__name__
        code = forward.__code__
        self.arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        self.places = {name: place for place, name in enumerate(self.arguments[: code.co_argcount])}
        self.passed = {}  # kinds of arrays, shapes and dtypes that fitted, and the dtype of the floating ones
        self.specs = [(name, self.steps(name), *self.parse(text)) for name, text in self.paths(shapes)]

    def steps(self, name):
        """How a tree is gone down to a parameter of this name; None for an argument."""
        return None if name in self.arguments else name.split(".")

    @classmethod
    def paths(cls, shapes, path=""):
        """(name, text) of every specification; that of p["input"]["weight"] has the name input.weight."""
        for name, part in shapes.items():
            yield from cls.paths(part, f"{path}{name}.") if isinstance(part, dict) else [(path + name, part)]

    @staticmethod
    def parse(text):
        optional = text.startswith("[")
        words = text.strip("[]").split()
        kind = words.pop(0) if words and words[0] in ("int", "bool") else "float"
        axes = tuple(re.fullmatch(r"(\d*)(.*?)(\|1)?", word).groups() for word in words)
        axes = tuple((int(times or 1), letter, bool(or_one)) for times, letter, or_one in axes)
        return text, optional, {"int": "iu", "bool": "b", "float": "f"}[kind], kind, axes

    def __call__(self, args, static):
        arrays = self.arrays(args, static)
        try:
            seen = tuple([array if array is None else (type(array), array.shape, array.dtype) for array in arrays])
            return self.passed[seen]  # a training step comes with the same shapes every time
        except (AttributeError, KeyError):
            dtype = self.check(arrays)
        if len(self.passed) >= MOST:
            self.passed.clear()
        self.passed[seen] = dtype
        return dtype

    def arrays(self, args, static):
        """Those that there are specifications for, None for one that is absent."""
        p, found = None, []
        for name, steps, *_ in self.specs:
            if steps is None:
                array = self.argument(name, args, static)
            else:
                array = p = self.argument("p", args, static) if p is None else p
                for part in steps:
                    array = array.get(part) if isinstance(array, dict) else None
            found.append(array)
        return found

    def argument(self, name, args, static):
        place = self.places.get(name, len(args))  # of more arguments than there are, Python complains
        return args[place] if place < len(args) else static.get(name)

    def check(self, arrays):
        lengths, dtype = {}, None
        for array, (name, _, text, optional, kinds, kind, axes) in zip(arrays, self.specs, strict=True):
            if array is None:
                if optional:
                    continue
                raise ValueError(f"{self.name}: there is no {name} ({text})")
            if not hasattr(array, "shape") or array.dtype.kind not in kinds:
                what = getattr(array, "dtype", type(array).__name__)
                raise TypeError(f"{self.name}: {name} must be an array of kind {kind}, not {what}")
            if hasattr(array, "mask"):
                raise TypeError(f"{self.name}: {name} is a masked array, whose mask would not be heeded")
            if kind == "float":
                if dtype is not None and array.dtype != dtype[1]:
                    raise TypeError(f"{self.name}: {name} is {array.dtype}, but {dtype[0]} is {dtype[1]}")
                dtype = (name, array.dtype)
            self.fit(name, text, array.shape, axes, lengths)
        return dtype and dtype[1]

    def fit(self, name, text, shape, axes, lengths):
        if axes and axes[0][1] == "...":
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
        for length, (times, letter, or_one) in zip(shape_left, axes):
            if or_one and length == 1:
                continue
            if letter and length % times == 0:
                lengths.setdefault(letter, length // times)
            if length != times * lengths.get(letter, 1):
                self.refuse(name, text, shape, lengths)

    def refuse(self, name, text, shape, lengths):
        known = ", ".join(f"{letter} = {length}" for letter, length in lengths.items())
        raise ValueError(f"{self.name}: {name} has shape {shape}, expected ({text}){' with ' + known if known else ''}")
