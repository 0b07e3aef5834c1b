"""The backend for corpora that outgrow one machine: an index on an Elasticsearch server, as the paper's own.

`index` makes an index, which `load` fills; `search` is the engine that `stage.open_engine` hands out; all of them
talk to the server through `client`.
"""
