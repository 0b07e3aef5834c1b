"""The contamination audit: which dev and test texts occur in the texts that a model trains on."""
