"""Fetch, verify and unpack the files from which tasks and corpora are built."""
