"""`precision: auto` follows the instruction sets of the processor, which are mocked."""

from pathlib import Path

import pytest

from tlm.errors import TlmError
from tlm.training.precision import cpu_multiplies_bf16, resolve

AVX2 = "processor\t: 0\nmodel name\t: Old\nflags\t\t: fpu sse4_2 avx avx2 fma\n"
ZEN4 = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16\n"
SAPPHIRE = "flags\t\t: avx512f amx_tile amx_bf16\n"
AVX512 = "flags\t\t: avx2 avx512f avx512vl avx512_vnni\n"


@pytest.fixture(autouse=True)
def no_limits(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("ATEN_CPU_CAPABILITY", raising=False)


def cpuinfo(folder: Path, text: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "expected"), [(AVX2, "fp32"), (AVX512, "fp32"), (ZEN4, "bf16"), (SAPPHIRE, "bf16")]
)
def test_auto_follows_the_processor(tmp_path, text, expected):
    path = cpuinfo(tmp_path, text)
    assert resolve("auto", "cpu", path) == expected
    assert resolve("fp32", "cpu", path) == "fp32"


def test_configured_bf16_raises_on_a_processor_without_it(tmp_path):
    with pytest.raises(TlmError, match="no bf16 instructions"):
        resolve("bf16", "cpu", cpuinfo(tmp_path, AVX2))
    assert resolve("bf16", "cpu", cpuinfo(tmp_path, ZEN4)) == "bf16"


def test_bf16_is_allowed_on_an_unknown_processor(tmp_path):
    assert resolve("auto", "cpu", tmp_path / "absent") == "fp32"
    assert resolve("bf16", "cpu", tmp_path / "absent") == "bf16"


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"])
def test_limits_in_the_environment_disable_bf16(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "AVX2")
    assert not cpu_multiplies_bf16(cpuinfo(tmp_path, ZEN4))
