"""What every model asks of its configuration."""


def check_count(name, value):
    """ValueError unless the value is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be at least 1, not {value!r}")
