"""Vocabularies of characters: what is written without spaces is cut into them, the rest into word pieces."""

import pytest
from transformers import AutoTokenizer

from tlm.own.tokenizer import build_characters

TEXTS = [
    "猫坐在垫子上，它不太高兴。BERT 模型 2024 年发布。",
    "猫はマットの上に座っていて、東京タワー。",
    "แมวนั่งอยู่บนเสื่อและไม่มีความสุข hello",
    "The model of words, number 123, café.",
] * 5


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    return build_characters(TEXTS, folder, "mine", 2048)


@pytest.mark.parametrize("text", TEXTS[:4])
def test_nothing_is_unknown_and_nothing_is_lost(built, text):
    pieces = AutoTokenizer.from_pretrained(built).tokenize(text)
    assert "[UNK]" not in pieces
    assert "".join(piece.removeprefix("##") for piece in pieces) == text.lower().replace(" ", "")


def test_a_character_keeps_its_marks_and_a_word_stays_whole(built):
    pieces = AutoTokenizer.from_pretrained(built).tokenize("นั่ง Model 猫")
    assert pieces == ["นั่", "ง", "model", "猫"]


def test_the_same_texts_give_the_same_folder(built, tmp_path):
    again = build_characters(TEXTS, tmp_path, "mine", 2048)
    assert again.name == built.name and again.name.startswith("mine.tokenizer-")
    assert (again / "tokenizer.json").read_bytes() == (built / "tokenizer.json").read_bytes()
