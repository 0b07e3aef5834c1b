import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertForSequenceClassification,
)

from tlm.config.training import paper_tokens
from tlm.errors import TlmError
from tlm.evaluation.flops import MatmulWork, Shape, matmul_flops, paper_flops, shape_of

ROWS, LENGTH, MASKED = 3, 24, 7
CONFIGS = {
    "bert": BertConfig(
        vocab_size=97,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=80,
        num_labels=5,
        attn_implementation="eager",
    ),
    "modernbert": ModernBertConfig(
        vocab_size=97,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=48,
        num_labels=5,
        local_attention=8,  # shorter than the text: sliding layers compute all scores nevertheless
        pad_token_id=0,
        bos_token_id=1,
        cls_token_id=1,
        sep_token_id=2,
        eos_token_id=2,
        sparse_prediction=True,
        attn_implementation="eager",
    ),
}
CLASSIFIERS = {"bert": BertForSequenceClassification, "modernbert": ModernBertForSequenceClassification}


def counted(step):
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", CONFIGS)
def test_classification_agrees_with_torchs_counter(name):
    model = CLASSIFIERS[name](CONFIGS[name])
    model.train()
    ids = torch.randint(3, 97, (ROWS, LENGTH))
    labels = torch.tensor([0, 1, 2])
    found = counted(lambda: model(input_ids=ids, attention_mask=ids > 5, labels=labels).loss.backward())
    work = MatmulWork(ROWS * LENGTH, ROWS * LENGTH**2, 0, ROWS)
    assert matmul_flops(shape_of(model.config.to_dict()), work).total == found


def test_masked_language_modelling_agrees_with_torchs_counter_modernbert():
    model = ModernBertForMaskedLM(CONFIGS["modernbert"])
    ids = torch.randint(3, 97, (ROWS, LENGTH))
    labels = torch.full((ROWS, LENGTH), -100)
    labels.view(-1)[torch.arange(MASKED) * 5] = 4
    found = counted(lambda: model(input_ids=ids, labels=labels).loss.backward())
    work = MatmulWork(ROWS * LENGTH, ROWS * LENGTH**2, MASKED, 0)
    assert matmul_flops(shape_of(model.config.to_dict()), work).total == found


def test_masked_language_modelling_agrees_with_torchs_counter_bert():
    """BERT's head at some positions only: encoder first, then head on the chosen hidden states."""
    model = BertForMaskedLM(CONFIGS["bert"])
    ids = torch.randint(3, 97, (ROWS, LENGTH))

    def step():
        hidden = model.bert(input_ids=ids).last_hidden_state.view(-1, 32)[:MASKED]
        torch.nn.functional.cross_entropy(model.cls(hidden), torch.arange(MASKED)).backward()

    work = MatmulWork(ROWS * LENGTH, ROWS * LENGTH**2, MASKED, 0)
    assert matmul_flops(shape_of(model.config.to_dict()), work).total == counted(step)


def test_each_part_depends_on_one_kind_of_work():
    shape = Shape("bert", hidden=8, layers=2, intermediate=16, vocabulary=50, classes=3)
    parts = matmul_flops(
        shape, MatmulWork(padded_tokens=10, padded_squares=50, mlm_positions=2, classified_rows=1)
    )
    assert parts.projections == 6 * 10 * 2 * (4 * 64 + 2 * 128)
    assert parts.attention == 6 * 50 * 2 * 2 * 8
    assert parts.lm_head == 6 * 2 * (64 + 8 * 50)
    assert parts.task_head == 6 * (64 + 8 * 3)
    assert (
        parts.as_dict()["total"]
        == parts.total
        == sum((parts.projections, parts.attention, parts.lm_head, parts.task_head))
    )


def test_formula_and_count_are_similar_for_bert_base():
    """Long known: 6 N D is close to the matmul count where attention and embeddings are small or cancel."""
    shape = Shape("bert", hidden=768, layers=12, intermediate=3072, vocabulary=30522, classes=2)
    tokens = 256 * 128
    work = MatmulWork(tokens, 256 * 128**2, round(0.15 * tokens), 0)
    assert 0.7 < matmul_flops(shape, work).total / paper_flops(tokens, 109e6) < 1.1


def test_internal_batches_may_have_another_length():
    tokens = paper_tokens(steps=150_000, batch_size=256, length=128, internal_length=512, rho1=19)
    assert tokens == 150_000 * 256 * (19 * 128 + 512) / 20
    assert paper_tokens(steps=10, batch_size=2, length=8) == 160
    with pytest.raises(TlmError, match="rho1"):
        paper_tokens(steps=1, batch_size=1, length=128, internal_length=512)


def test_unknown_architectures_raise():
    with pytest.raises(TlmError, match="model_type 'gpt2'"):
        shape_of({"model_type": "gpt2"})
    with pytest.raises(TlmError, match="architecture 'gpt'"):
        matmul_flops(Shape("gpt", 8, 1, 8, 8, 2), MatmulWork(1, 1, 1, 1))
