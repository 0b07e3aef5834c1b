"""The backend for corpora that outgrow one machine: an index on an Elasticsearch server, as the paper's own.

`index` loads a corpus, `search` is the engine that stage.open_engine hands out, `client` talks to the server.
"""
