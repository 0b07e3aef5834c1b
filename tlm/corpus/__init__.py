"""The general corpus: turn sources into clean passages."""
