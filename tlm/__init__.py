"""TLM: strong text classifiers from scratch, without large-scale pretraining (arXiv 2111.04130)."""

__version__ = "0.1.0"
