"""Files: bytes come back as they were, and no changed byte passes."""

from __future__ import annotations

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numdl_bridge.errors import BadInputError, TamperedError
from numdl_bridge.runs.files import (
    pack_arrays,
    plain,
    read_checked,
    read_sealed,
    sha256,
    unpack_arrays,
    write_atomic,
    write_sealed,
)

DTYPES = st.one_of(
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    npst.integer_dtypes(endianness="?"),
    npst.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    npst.boolean_dtypes(),
    npst.unicode_string_dtypes(max_len=4),
)
# Shapes down to no dimension at all and no entry at all; values with NaN, Inf and -0.0.
ARRAYS = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, min_side=0, max_side=4))
NAMES = st.text("abcXYZ_/.-θ0 ", min_size=1, max_size=12)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(st.dictionaries(NAMES, ARRAYS, max_size=4), st.booleans())
@settings(max_examples=200, deadline=None)
def test_arrays_come_back_bit_for_bit(arrays: dict[str, np.ndarray], fortran: bool) -> None:
    if fortran:
        arrays = {k: np.asarray(v, order="F") for k, v in arrays.items()}
    back = unpack_arrays(pack_arrays(arrays), "here")
    assert list(back) == list(arrays)
    assert all(same(back[k], arrays[k]) for k in arrays)
    # NumPy's own reader agrees, so that anybody can open the file.
    assert all(back[k].flags.f_contiguous == arrays[k].flags.f_contiguous for k in arrays)


def test_special_values_keep_their_bits() -> None:
    payload = np.array([0x7FF8000000000123], dtype=np.uint64).view(np.float64)
    value = np.concatenate([payload, [-0.0, 0.0, np.inf, -np.inf, 5e-324]])
    back = unpack_arrays(pack_arrays({"x": value}), "here")["x"]
    assert back.tobytes() == value.tobytes()
    assert np.signbit(back[1])
    assert not np.signbit(back[2])


def test_same_arrays_same_bytes_and_numpy_reads_them(tmp_path) -> None:
    arrays = {"gradient/rk4": np.arange(6.0).reshape(2, 3), "file": np.array("label")}
    assert pack_arrays(arrays) == pack_arrays(arrays)
    write_atomic(tmp_path / "a.npz", pack_arrays(arrays))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        assert sorted(read.files) == ["file", "gradient/rk4"]
        assert np.array_equal(read["gradient/rk4"], arrays["gradient/rk4"])


@pytest.mark.parametrize("value", [np.array([{}], dtype=object), np.zeros(2, dtype="V2")])
def test_what_needs_pickle_is_refused(value: np.ndarray) -> None:
    with pytest.raises(BadInputError, match="dtype"):
        pack_arrays({"x": value})


def test_a_pickle_is_never_opened(tmp_path) -> None:
    np.savez(tmp_path / "evil.npz", x=np.array([print], dtype=object))
    with pytest.raises(TamperedError):
        unpack_arrays((tmp_path / "evil.npz").read_bytes(), "evil.npz")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@given(content=st.dictionaries(st.text(max_size=5), json_values, max_size=4))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_sealed_json_comes_back(tmp_path, content) -> None:
    seal = write_sealed(tmp_path / "a.json", content)
    back, again = read_sealed(tmp_path / "a.json")
    assert again == seal
    assert back == plain(content)


def test_nan_and_infinity_are_named_not_nulled(tmp_path) -> None:
    write_sealed(tmp_path / "a.json", {"x": [float("nan"), np.float32("inf"), -np.inf, -0.0]})
    back, _ = read_sealed(tmp_path / "a.json")
    assert back["x"][:3] == ["NaN", "Infinity", "-Infinity"]
    assert str(back["x"][3]) == "-0.0"


def test_every_changed_byte_of_a_sealed_file_is_noticed(tmp_path) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, {"figure": 1.25, "names": ["a", "b"]})
    good = path.read_bytes()
    for i in range(len(good)):
        path.write_bytes(good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :])
        with pytest.raises(TamperedError):
            read_sealed(path)
    for i in range(len(good)):
        path.write_bytes(good[:i])
        with pytest.raises(TamperedError):
            read_sealed(path)
    path.write_bytes(good + b" ")
    with pytest.raises(TamperedError):
        read_sealed(path)
    path.write_bytes(good)
    assert read_sealed(path)[0]["figure"] == 1.25


def test_a_file_that_differs_from_its_hash_is_noticed(tmp_path) -> None:
    path = tmp_path / "x.bin"
    write_atomic(path, b"abc")
    assert read_checked(path, sha256(b"abc")) == b"abc"
    with pytest.raises(TamperedError, match="changed"):
        read_checked(path, sha256(b"abd"))
    path.unlink()
    with pytest.raises(TamperedError, match="missing"):
        read_checked(path, sha256(b"abc"))


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch) -> None:
    path = tmp_path / "x.bin"
    write_atomic(path, b"old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numdl_bridge.runs.files.os.replace", full)
    with pytest.raises(BadInputError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.bin"]
