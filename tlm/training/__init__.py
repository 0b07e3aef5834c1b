"""Two-stage training (Section 3.1): tokens, batches as a pure function of seed and step, model, loop.

Read in the order of the flow: `tokenizer` → `tokens` → `batches` (with `masking`) → `model` → `objective` →
`loop` → `stage1`, `stage2`.
"""
