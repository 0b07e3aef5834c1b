"""Evaluation: metrics and predictions on dev and test, the TF-IDF baseline, and the FLOPs of a run."""
