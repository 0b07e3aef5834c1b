"""Evaluation: metrics and predictions on dev and test, the TF-IDF baseline, and what a run cost in FLOPs."""
