"""What a run remembers of its data, so that it never goes on with other data unnoticed."""

import hashlib


def fingerprint(text, size, expected=None):
    """{"sha256": ..., "size": ...} of the text; `size` is in words. ValueError where it is not the expected one."""
    found = {"sha256": hashlib.sha256(text.encode("utf-8")).hexdigest(), "size": size}
    if expected and found != expected:
        raise ValueError(
            f"the run was trained on another text: {expected['size']} with the hash {expected['sha256'][:12]}…, "
            f"this one has {size} with {found['sha256'][:12]}…"
        )
    return found
