"""A run of the command line's, from nothing or from where it was interrupted, to its end."""

from tqdm import tqdm

from minitransformer.training.run import Evaluation, Run


def whole_run(out, settings, threads):
    """The Run that `settings` ask for, in this folder, when it has ended; its evaluations are told above a bar."""
    run = Run.resume(out) if (out / "checkpoint").exists() else Run.start(out, settings)
    left = settings.steps - run.training.step
    for event in (bar := tqdm(run.train(threads), total=left, unit="step", leave=False, disable=None)):
        if isinstance(event, Evaluation):
            bar.write(f"step {event.step:,}: {event.scores}")
    return run
