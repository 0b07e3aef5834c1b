"""The backend for corpora that one machine cannot hold: an index on an Elasticsearch server, as in the paper.

`index` creates an index and `load` fills it; `search` is the engine that `stage.open_engine` returns; all of them
reach the server through `client`.
"""
