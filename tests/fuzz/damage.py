"""Files that are cut, changed, mixed up or something else, from a file that is whole."""

from hypothesis import strategies as st

FOREIGN = (
    b"",
    b"\n",
    b"not a file of this kind",
    b"\x89PNG\r\n\x1a\n" + bytes(40),
    b"PK\x03\x04" + bytes(60),
    b"\x80\x02}q\x00.",
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999,), }",
    b"\x1f\x8b\x08\x00" + bytes(20),
    "ä,ö\n1,2\n".encode("utf-16"),
    b"{",
    b'{"a": [1, 2, {"b": null}]}',
    b"[]",
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` after one to three accidents, or another file in its place."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(FOREIGN))
    content = whole
    for _ in range(draw(st.integers(1, 3))):
        content = draw(st.sampled_from(_ACCIDENTS))(draw, content)
    return content


def _place(draw: st.DrawFn, content: bytes) -> int:
    """Anywhere, but often where a header is: at the beginning or the end."""
    last = max(len(content) - 1, 0)
    near = st.integers(0, min(last, 120))
    return draw(st.one_of(st.integers(0, last), near, near.map(lambda at: last - at)))


def _cut(draw: st.DrawFn, content: bytes) -> bytes:
    return content[: _place(draw, content)]


def _flip(draw: st.DrawFn, content: bytes) -> bytes:
    at, bit = _place(draw, content), draw(st.integers(0, 7))
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :] if content else b""


def _overwrite(draw: st.DrawFn, content: bytes) -> bytes:
    at, text = _place(draw, content), draw(st.binary(min_size=1, max_size=8))
    return content[:at] + text + content[at + len(text) :]


def _insert(draw: st.DrawFn, content: bytes) -> bytes:
    at = _place(draw, content)
    return content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[at:]


def _remove(draw: st.DrawFn, content: bytes) -> bytes:
    at = _place(draw, content)
    return content[:at] + content[at + draw(st.integers(1, 64)) :]


def _swap(draw: st.DrawFn, content: bytes) -> bytes:
    first, second = sorted((_place(draw, content), _place(draw, content)))
    return content[second:] + content[first:second] + content[:first]


_ACCIDENTS = (_cut, _flip, _flip, _overwrite, _insert, _remove, _swap)
