"""`flambeau.backends`: switches under PyTorch's names."""

from __future__ import annotations

import pytest

import flambeau as fb


def test_precision_of_products() -> None:
    matmul = fb.backends.cuda.matmul
    assert (matmul.allow_tf32, fb.get_float32_matmul_precision()) == (False, "highest")
    fb.set_float32_matmul_precision("medium")
    assert matmul.allow_tf32
    matmul.allow_tf32 = False
    assert fb.get_float32_matmul_precision() == "highest"
    with pytest.raises(RuntimeError, match=r"\[set_float32_matmul_precision\].*one of highest, high, medium"):
        fb.set_float32_matmul_precision("low")


def test_switches_of_convolutions() -> None:
    import flambeau.backends.cudnn as cudnn

    assert fb.backends.cudnn is cudnn
    assert cudnn.allow_tf32
    with cudnn.flags(enabled=True, allow_tf32=False):
        assert not cudnn.allow_tf32
    assert cudnn.allow_tf32
    assert cudnn.is_available() == (cudnn.version() is not None)


def test_questions_about_other_libraries() -> None:
    assert not any(
        b.is_available() for b in (fb.backends.mps, fb.backends.mkldnn, fb.backends.mkl, fb.backends.openmp)
    )
    assert isinstance(fb.backends.cuda.is_built(), bool)
