"""How the models of the story learn a task, and are asked.

A run has so many seconds of one processor, not so many steps: a model whose steps are cheap does more of them. Its rate
rises over the first of these seconds and falls to 0 with the last.
"""

import math
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import numpy as np

from ..convention import fold, generator, use_backend
from ..data.pairs import IGNORED
from ..threads import available_cores, workers
from ..training.loop import Training, train_step
from ..training.losses import translation_loss
from ..training.optimizer import AdamW
from ..trees import leaves

BATCH, CLIP, WARMUP = 64, 1.0, 0.1  # examples a step; the longest gradient; the share of a run in which its rate rises
EXAM = 300  # questions of each part of the exam
INIT, SAMPLING, ASKING, COMPILING = range(4)  # what the keys folded from the seed are for


def share_right(model, p, batch):
    """The share of answers that greedy decoding gives right: each token is the likeliest after the right ones."""
    source, source_mask, target, targets = batch
    logits, _ = model.forward(p, source, target, source_mask=source_mask)
    right = ((logits.argmax(-1) == targets) | (targets == IGNORED)).all(1)
    return round(float(right.mean()), 4)


def count(model):
    """How many parameters it has."""
    return sum(leaf.size for _, leaf in leaves(model.init(np.random.default_rng(0))))


def median(lengths):
    """The one of these that stands for all."""
    return lengths[len(lengths) // 2]


def rate(peak, spent):
    """The learning rate after this share of the time."""
    return peak * min(spent / WARMUP, 1) * 0.5 * (1 + math.cos(math.pi * min(spent, 1)))


def learn(model, task, peak, lengths, asked, seconds, seed):
    """One run of so many seconds of this process's time, and then the exam: what came out, as plain numbers.

    task: what is drawn   lengths: of the sources that are learnt from   asked: [lengths] of each part of the exam
    """
    use_backend("cpu")
    root = np.random.SeedSequence(seed)
    training = Training(model.init(generator(fold(root, INIT))), AdamW(betas=(0.9, 0.98), eps=1e-9, weight_decay=0.0))
    loss = translation_loss(model, label_smoothing=0.0)
    with workers(1):
        compiled = [task.examples(generator(fold(root, COMPILING)), 2, lengths)]
        loss.backward(1.0, loss(training.p, *compiled[0])[1])  # what is compiled, is compiled before the time runs
        losses, begin, spent = [], time.process_time(), 0.0
        while spent < 1:
            batch = task.examples(generator(fold(fold(root, SAMPLING), training.step)), BATCH, lengths)
            losses.append(train_step(training, loss, [batch], None, rate(peak, spent), clip=CLIP))
            spent = (time.process_time() - begin) / seconds
        rng = generator(fold(root, ASKING))
        right = [[median(part), share_right(model, training.p, task.questions(rng, EXAM, part))] for part in asked]
    return {
        "seed": seed,
        "parameters": count(model),
        "steps": training.step,
        "loss": round(float(np.mean(losses[-20:])), 4),
        "right": right,
    }


def say(text, bar=None):
    """A line above the bar, where there is one."""
    print(text, flush=True) if bar is None or bar.disable else bar.write(text)


def side_by_side(jobs, tell):
    """[(about, arguments of learn)]   ->   [about | what came out]: a process each, two at once on two cores

    None of them outlives this one, however it ends. ChildProcessError where one was ended by somebody else.
    """
    from tqdm import tqdm

    context = get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)  # nothing is ever sent: the end of ours is what they wait for
    with (
        theirs,
        ours,
        ProcessPoolExecutor(min(2, available_cores()), context, end_with, (theirs,)) as pool,
        tqdm(total=len(jobs), unit="run", leave=False, disable=None) as bar,
    ):
        runs = {pool.submit(learn, *arguments): i for i, (_, arguments) in enumerate(jobs)}
        found = [None] * len(jobs)
        try:
            for run in as_completed(runs):
                i = runs[run]
                found[i] = jobs[i][0] | run.result()
                tell(line(found[i]), bar)
                bar.update()
        except BrokenProcessPool:
            raise ChildProcessError("the process of a run was ended from outside, perhaps for want of memory") from None
        except BaseException:  # what has not begun need not begin, nor what has begun go on
            ours.close()
            pool.shutdown(cancel_futures=True)
            raise
    return found


def end_with(pipe):
    """In the process of a run: end at once when the other end of the pipe does. Ctrl-C is for whoever holds that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=lambda: (pipe.poll(None), os._exit(1)), daemon=True).start()


def line(run):
    """A run in short: the share of right answers at some lengths."""
    about = ", ".join(value for value in run.values() if isinstance(value, str))
    some = run["right"][:: max(len(run["right"]) // 6, 1)]
    shares = "  ".join(f"{n}: {share:.0%}" for n, share in some)
    return f"{about}, seed {run['seed']}: {run['steps']:,} steps, loss {run['loss']:.3f}; right at length {shares}"
