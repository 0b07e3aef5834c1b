"""Labelled data in, Parquet splits out."""
