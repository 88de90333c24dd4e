"""A training step on the device: forward, loss, backward, clipping, AdamW; then a run, its files, and its text."""

import json

import numpy as np
import pytest

from minitransformer.cli import main
from minitransformer.convention import use_backend
from minitransformer.decoding import generate
from minitransformer.models import GPT2, LLaMA
from minitransformer.ops import layer_norm
from minitransformer.placing import to_device, to_host
from minitransformer.training.checkpoint import load_model
from minitransformer.training.loop import Training, train_step
from minitransformer.training.losses import fused_next_token_loss, next_token_loss
from minitransformer.training.optimizer import AdamW
from minitransformer.training.parallel import value_and_gradient
from minitransformer.trees import leaves, tree_map

MODELS = {
    "GPT2": GPT2(11, 5, 2, 2, 6, dropout_rate=0.0),  # heads of 3: naive
    "GPT2, dropout": GPT2(11, 5, 1, 1, 8, dropout_rate=0.2),
    "GPT2, recompute": GPT2(11, 5, 1, 1, 8, dropout_rate=0.2, recompute=True),
    "LLaMA": LLaMA(11, 5, 1, 2, 1, 8, 4, 7),
}


def parameters(model, rng, dtype=np.float32):
    """Parameters away from where they start: no γ of one, no bias of zero."""
    p = model.init(rng, np.float64)
    return tree_map(lambda a: (a + 0.3 * rng.normal(size=a.shape)).astype(dtype), p)


def batch(rng, targets_ignored=2):
    ids, targets = rng.integers(0, 11, (2, 3, 5))
    targets.flat[:targets_ignored] = -100
    return ids, targets


def gradient(backend, model, p, pieces, loss=next_token_loss):
    use_backend(backend)
    value, g = value_and_gradient(loss(model), to_device(p), pieces, [np.random.SeedSequence(3)] * len(pieces))
    return value, dict(leaves(to_host(g)))


def scaled(g, exact):
    """The largest error of a leaf, relative to its largest entry, or a thousandth of the largest of all."""
    most = max(np.abs(leaf).max() for leaf in exact.values())
    return max(np.abs(g[path] - leaf).max() / max(np.abs(leaf).max(), 1e-3 * most) for path, leaf in exact.items())


@pytest.mark.parametrize(
    "name, loss", [*((name, next_token_loss) for name in MODELS), ("LLaMA", fused_next_token_loss)]
)
def test_the_gradients_are_the_references(name, loss):
    """To float32 rounding: at most a few times as far from float64 as the reference in float32 is."""
    rng = np.random.default_rng(0)
    model, pieces = MODELS[name], [batch(rng), batch(rng, 0)][: 2 if name == "GPT2" else 1]
    p = parameters(model, rng)
    exact_value, exact = gradient("reference", model, tree_map(lambda a: a.astype(np.float64), p), pieces, loss)
    value, ours = gradient("cuda", model, p, pieces, loss)
    theirs = gradient("reference", model, p, pieces, loss)[1]
    assert ours.keys() == exact.keys() and {leaf.dtype for leaf in ours.values()} == {np.dtype(np.float32)}
    assert value == pytest.approx(exact_value, rel=1e-6)
    assert scaled(ours, exact) <= 3 * scaled(theirs, exact) + 2e-6


def test_a_step_moves_the_parameters_as_the_reference_does():
    """Two steps, the second of which has moments. With a large ε: a slope of nearly zero is not blown up."""
    rng = np.random.default_rng(0)
    model, found = MODELS["GPT2, dropout"], {}
    p, pieces, keys = parameters(model, rng), [batch(rng)], [np.random.SeedSequence(3)]
    for backend in ("reference", "cuda"):
        use_backend(backend)
        training = Training(to_device(tree_map(np.copy, p)), AdamW(eps=1e-2))
        for _ in range(2):
            train_step(training, next_token_loss(model), pieces, keys, 1e-1, clip=0.5)
        found[backend] = dict(leaves(to_host(training.p)))
    before = dict(leaves(p))
    for path, leaf in found["reference"].items():
        if not path.endswith("k.bias"):  # of which nothing is felt, but for rounding
            assert np.abs(leaf - before[path]).max() > 1e-3, path  # a step that one sees
        np.testing.assert_allclose(found["cuda"][path], leaf, rtol=0, atol=2e-6 * max(1, np.abs(leaf).max()))


def test_the_same_step_twice_gives_the_same_bits():
    rng = np.random.default_rng(0)
    model = MODELS["GPT2"]
    p, pieces = parameters(model, rng), [batch(rng)]
    once, again = (gradient("cuda", model, p, pieces) for _ in range(2))
    assert once[0] == again[0] and all(np.array_equal(once[1][path], again[1][path]) for path in once[1])


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("name", ["GPT2", "LLaMA"])
def test_it_writes_what_the_reference_writes(name, cached):
    rng = np.random.default_rng(0)
    model, texts = MODELS[name], []
    p = parameters(model, rng)
    for backend in ("reference", "cuda"):
        use_backend(backend)
        texts.append(list(generate(model, to_device(p), [1, 2], max_tokens=5, seed=1, cached=cached)))
    assert texts[0] == texts[1]


def test_the_command_trains_saves_goes_on_and_writes(tmp_path, capsys, monkeypatch):
    """Two steps, and two more of the same run; a run of four in one go has the same bits."""
    text = tmp_path / "text.txt"
    text.write_text("abcab cabca bcabc " * 8, encoding="utf-8")
    size = "--layers 1 --heads 1 --width 8 --context 3 --batch 1 --steps 4 --warmup 1 --evaluate-every 2".split()

    def run(*arguments):
        status = main([*arguments, "--backend", "cuda"])
        out, err = capsys.readouterr()
        assert status == 0 and "NUMBA_ENABLE_CUDASIM is set: kernels are simulated" in err, err
        return out

    from minitransformer.training.tasks import text as task

    monkeypatch.setattr(task.TextTask, "sample", lambda self, p, step: "a")
    run("train", "--text", str(text), "--out", str(tmp_path / "run"), *size, "--threads", "2")
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [2, 4]
    about = json.loads((tmp_path / "run" / "config.json").read_text())
    assert about["machine"]["backend"] == "cuda"
    newest = tmp_path / "run" / "checkpoint" / "step-00000004"
    bits = (newest / "model.safetensors").read_bytes()
    for path in newest.iterdir():
        path.unlink()
    newest.rmdir()
    assert "resuming" in run("train", "--resume", str(tmp_path / "run"))
    assert (newest / "model.safetensors").read_bytes() == bits
    assert len(run("generate", str(tmp_path / "run"), "--prompt", "ab", "--tokens", "3", "--seed", "1")) >= 3
    use_backend("cuda")
    assert load_model(tmp_path / "run")[1]["token"]["weight"].shape[1] == 8


def test_what_lies_on_the_host_is_refused(monkeypatch):
    """As it would be beside a real device: there an array of NumPy's is not one of the library's."""
    from minitransformer.kernels.cuda import arrays

    monkeypatch.setattr(arrays, "SIMULATED", False)
    monkeypatch.setattr(arrays, "kind_on_device", arrays.kind_on_device.__wrapped__)  # which remembers
    p = {"weight": np.ones(3, np.float32), "bias": np.ones(3, np.float32)}
    with pytest.raises(TypeError, match="x is a numpy.ndarray, not an array of CuPy's on the device"):
        layer_norm(p, np.ones((2, 3), np.float32))
