"""What a target will cost before it is run: runs, tokens, FLOPs, hours, disk (`tlm cost`)."""
