"""The browser of the tests: an error on a page, a missing picture or an address outside must not go unseen."""

import pytest
from browser import PHONE, BrowserError
from PIL import Image

GOOD = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Good</title>
<p id="shown">…</p><script>document.getElementById("shown").textContent = "K = " + 2 * 25</script>"""


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "page.html"
        path.write_text(text)
        return path

    return written


def test_a_good_page_is_read_and_pictured(chromium, write, tmp_path):
    page = chromium.open(write(GOOD), PHONE)
    page.wait_for("document.querySelector('#shown')")
    assert page.evaluate("document.title") == "Good"
    assert page.text() == "K = 50"
    assert not page.errors and not page.warnings and not page.broken_images() and not page.too_wide()
    assert Image.open(page.screenshot(tmp_path / "page.png", whole=False)).size == PHONE
    assert page.pdf(tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("<script>throw new Error('lost')</script>", "lost"),
        ("<script>console.error('wrong', 3)</script>", "wrong 3"),
        ("<script>setTimeout(() => missing())</script>", "missing is not defined"),
        ('<script src="https://example.org/a.js"></script>', "https://example.org/a.js"),
        ('<img src="nowhere.png">', "nowhere.png"),
    ],
)
def test_errors_are_seen(chromium, write, part, message):
    page = chromium.open(write(GOOD + part))
    page.evaluate("new Promise(done => setTimeout(done, 50))")
    assert any(message in error for error in page.errors)


def test_broken_pictures_and_wide_elements_are_seen(chromium, write):
    page = chromium.open(
        write(
            GOOD + '<img alt="Figure 1" src="data:image/png;base64,AAAA"><div style="width: 500px">wide</div>'
        ),
        PHONE,
    )
    assert [each.split()[0:2] for each in page.broken_images()] == [["Figure", "1"]]
    assert any("wide" in each for each in page.too_wide())


def test_a_missing_element_is_an_error(chromium, write):
    with pytest.raises(BrowserError, match=r"not in 0\.1 s"):
        chromium.open(write(GOOD)).wait_for("false", 0.1)
