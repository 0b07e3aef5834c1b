"""The general corpus: sources in, clean passages out."""
