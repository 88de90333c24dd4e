"""What was to be reached, told from rows."""

from bench.cuda import bars


def timed(contender, way, T, warm, memory=1e6):
    place = {"K": 64, "causal": True, "T": T, "way": way, "group": way}
    return place | {"kind": "attention", "contender": contender, "warm": warm, "memory": memory}


def verdicts(kept):
    return {bar.what.split(":")[0]: bar.verdict for bar in bars.bars(kept)}


def test_bars_are_met_missed_or_not_measured():
    assert set(verdicts([]).values()) == {"not measured"}
    kept = [timed(bars.FLOAT32, "forward", T, 1e-3) for T in (512, 1024)]
    kept += [timed("flash, float32", "forward", T, 2e-3) for T in (512, 1024)]
    assert verdicts(kept)["float32 forward"] == "missed"
    kept += [timed("flash_registers, float32", "forward", 512, 1e-3), timed("flash, float32", "forward", 1024, 0.9e-3)]
    assert verdicts(kept)["float32 forward"] == "met" and verdicts(kept)["float32 backward"] == "not measured"
    kept += [timed(bars.FLASH, way, 512, 1e-3) for way in bars.SHARES]
    kept += [timed("tensor_cores, bfloat16", way, 512, 2.2e-3) for way in bars.SHARES]
    assert (verdicts(kept)["bfloat16 forward"], verdicts(kept)["bfloat16 backward"]) == ("missed", "met")


def test_bars_of_a_step_and_of_growth():
    names = list(bars.STEPS)
    steps = [{"kind": "step", "group": name, "contender": "PyTorch eager", "warm": 0.02} for name in names]
    for warm, verdict in ((0.029, "met"), (0.031, "missed")):
        for one, other in (names, names[::-1]):
            mine = {"kind": "step", "group": one, "contender": "backend cuda", "warm": warm}
            found = [bar for bar in bars.bars([*steps, mine]) if "training step" in bar.what]
            here, there = (found[names.index(name)] for name in (one, other))
            assert here.verdict == verdict and here.found == f"{warm / 0.02:.2f} ×"
            assert there.verdict == "not measured"
    for factor, memory, expected in ((2, 1e6, ("met", "met")), (4, 2e6, ("missed", "missed"))):
        kept = [timed("naive, float32", "forward", 512, 1e-3)]
        kept += [timed("naive, float32", "forward", 1024, factor * 1e-3, memory)]
        kept += [timed("PyTorch MATH, float32", "forward", T, T**3, T**3) for T in (512, 1024)]  # is not ours
        *_, time, memory = bars.bars(kept)
        assert (time.verdict, memory.verdict) == expected, (time, memory)
