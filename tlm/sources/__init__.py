"""Bytes in: fetch, verify, unpack and read the files that tasks and corpora are made from."""
