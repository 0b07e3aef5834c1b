"""Scripts and languages of a few sentences."""

import pytest

from tlm.own.language import guess

TEXTS = {
    ("en", "Latin"): "The cat sat on the mat, and it was not happy with this. It is as good as that.",
    ("de", "Latin"): "Die Katze liegt auf der Matte und ist nicht zufrieden mit dem Hund, der auch da ist.",
    (
        "fr",
        "Latin",
    ): "Le chat est sur le tapis et il n'est pas content avec les chiens qui sont dans la maison.",
    ("es", "Latin"): "El gato está en la casa y no se lleva bien con los perros que son más grandes.",
    ("vi", "Latin"): "Các con mèo và những con chó đã không được vào nhà, với một người trong đó.",
    ("ru", "Cyrillic"): "Кошка не любит собаку, и она не на своём месте, как это было с ними.",
    ("ar", "Arabic"): "القط في البيت على السجادة، هذا ما كان من أن يكون مع هذه الكلاب",
    ("hi", "Devanagari"): "बिल्ली चटाई पर बैठी है और खुश नहीं है।",
    ("zh", "Han"): "猫坐在垫子上，它不太高兴。",
    ("ja", "kana"): "猫はマットの上に座っていて、あまり嬉しくない。",
    ("th", "Thai"): "แมวนั่งอยู่บนเสื่อและไม่มีความสุข",
    ("ko", "Hangul"): "고양이는 매트 위에 앉아 있고 행복하지 않다.",
}


@pytest.mark.parametrize(("expected", "text"), TEXTS.items(), ids=[name for name, _ in TEXTS])
def test_language_and_script(expected, text):
    writing = guess([text])
    assert (writing.language, writing.script) == expected
    assert (writing.unspaced > 0.5) == (expected[0] in ("zh", "ja", "th"))


def test_share_of_marks_shows_where_lower_casing_loses_meaning():
    marked = {name: guess([text]).marked for (name, _), text in TEXTS.items()}
    assert all(marked[name] > 0.08 for name in ("hi", "vi", "th"))
    assert all(marked[name] < 0.08 for name in ("en", "de", "fr", "es", "ru", "zh"))


@pytest.mark.parametrize("text", ["", "12345 !!", "qwrt zxcv plmk"])
def test_nonsense_is_no_language(text):
    assert guess([text]).language is None
