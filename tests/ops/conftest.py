"""Every operation passes its hard places without an overflow, an invalid value or a division by zero."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def no_floating_point_errors():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        yield


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)
