"""Models and how they came about: files with digests, training sets, runs, verdicts."""
