"""Results: from evaluated runs and the paper's printed values to cells, and from cells to tables."""
