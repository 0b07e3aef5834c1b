"""Figures: drawn from cells, attention artifacts and the rule graph, all in the style of `style.py`."""
