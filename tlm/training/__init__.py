"""Two-stage training (Section 3.1): tokens, batches as a pure function of seed and step, model, loop.

Read in the order of the flow: `tokenizer` → `tokens` → `batches`, `masking` → `model` (`model_families`,
`cpu_forward`), `objective`, `optimizer` → `stage_plan`, `prefetch`, `monitor`, `loop`, `checkpoint` → `stage1`,
`stage2`. Both stages share `execution`, `stage_setup` and `workspace`.
"""
