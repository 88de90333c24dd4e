"""Known experiments, small enough to repeat: `python -m experiments.NAME`. What they found is in results/NAME.json."""
