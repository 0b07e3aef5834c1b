"""`tlm new`: from files of one's own to a configuration, with what was found in them."""
