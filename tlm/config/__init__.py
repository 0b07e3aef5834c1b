"""The typed configuration: models of the files in config/ and of the specifications that scripts get."""
