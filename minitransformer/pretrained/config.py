"""What config.json says, held to what there is here."""

from ..files import read_json


def object_in(path):
    """A JSON file's object. ValueError naming the file where it has none."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path} is damaged: it is no object")
    return found


def object_if_any(path):
    """The same, {} where there is no such file"""
    return object_in(path) if path.is_file() else {}


def check_config(config, sizes, fixed):
    """ValueError where a size is missing (ours -> theirs), or a setting is not as it is here (theirs -> its values)."""
    missing = [name for name in sizes.values() if name not in config]
    if missing:
        raise ValueError(f"there is no {', '.join(missing)}")
    for name, values in fixed.items():
        if config.get(name, values[0]) not in values:
            raise ValueError(f"{name} is {config[name]!r}; what is here has {' or '.join(map(repr, values))}")
