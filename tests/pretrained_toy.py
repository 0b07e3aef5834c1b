"""A tiny RoBERTa with a byte-level BPE of its own, as the Hub would hold it; and a Hub on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

COMMIT = "c0ffee" + 34 * "0"
LENGTH = 32
_SPECIALS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


def save_roberta(folder: Path, texts: list[str]) -> Path:
    """A random model of two layers, positions counted from 2, and its tokenizer."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learner.decoder = decoders.ByteLevel()
    learner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=[*_SPECIALS.values(), "<mask>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    learner.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=learner, **_SPECIALS, cls_token="<s>", sep_token="</s>", mask_token="<mask>"
    )
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=LENGTH + 2,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    RobertaForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@contextmanager
def hub(folder: Path, name: str) -> Iterator[tuple[str, list[str]]]:
    """A server that gives out `folder` as the model repository `name`; its address, and the requested paths."""
    paths: list[str] = []
    prefix = f"/{name}/resolve/"

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            paths.append(self.path)
            revision, _, file = self.path.removeprefix(prefix).partition("/")
            path = folder / file
            known = self.path.startswith(prefix) and revision in ("main", COMMIT)
            if self.path.startswith(f"/api/models/{name}/tree/"):
                content = b"[]"
            elif self.path.startswith(f"/api/models/{name}"):
                content = json.dumps({"id": name, "sha": COMMIT, "siblings": [], "tags": []}).encode()
            elif known and path.is_file():
                content = path.read_bytes()
            else:
                self.send_response(404)
                kind = "EntryNotFound" if known else "RevisionNotFound"
                self.send_header("X-Error-Code", kind)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", paths
    finally:
        server.shutdown()
        server.server_close()
