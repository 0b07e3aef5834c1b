"""Estimates a target's cost before it is run: runs, tokens, FLOPs, hours, disk (`tlm cost`)."""
