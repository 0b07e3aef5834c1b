"""The contamination audit: which dev and test texts stand in what a model learns from."""
