"""The typed configuration: what config/ may say, and what a run is made of."""
