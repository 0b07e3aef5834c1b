"""Two-stage training (Section 3.1): tokens, batches as a pure function of seed and step, model, loop.

Read in the order of the flow: `tokenizer` → `tokens` → `batches`, `masking` → `model` (`families`, `fast`),
`objective`, `optimizer` → `plan`, `feed`, `watch`, `loop`, `checkpoint` → `stage1`, `stage2`. `execution` and
`workspace` are what the two stages share with each other.
"""
