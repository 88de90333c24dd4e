"""What every model asks of its configuration."""


def check_count(name, value, least=1):
    """ValueError unless the value is a whole number of at least this."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} must be at least {least}, not {value!r}")


def check_frozen(frozen, n_layers):
    """ValueError unless there are so many layers that could be frozen."""
    if type(frozen) is not int or not 0 <= frozen <= n_layers:
        raise ValueError(f"frozen must be from 0 to n_layers={n_layers}, not {frozen!r}")
