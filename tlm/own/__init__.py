"""`tlm new`: from a user's files to a configuration, with a summary of the findings."""
