"""A training step on a device."""

import numpy as np
import pytest

from bench.cuda import rows, step

from .made_up import FakeGpu


def test_a_step_is_held_to_the_first_that_answers(tmp_path):
    gpu = FakeGpu(cold=3.0, warm=2.0)

    def contender(factor):
        def make(size):
            gpu.compiled = False
            return step.Work(gpu.work, lambda: {"loss": np.array([factor])}, gpu.work)

        return make

    kept = rows.Rows(tmp_path / "rows.jsonl", lambda line: None)
    among = {"CPU kernels": contender(1.0), "backend cuda": contender(1 + 1e-5), "PyTorch eager": contender(1.1)}
    step.run(gpu, kept, {"small": step.SIZES["small"]}, among)
    first, second, third = kept.rows
    assert second["compile"] == 7  # by the gradient, before it was found right
    assert first["launch"] is None and second["cold"] == 3 and second["off"] == pytest.approx(1e-5)
    assert third["refused"] == "off by 1.0e-01, more than 0.001"
