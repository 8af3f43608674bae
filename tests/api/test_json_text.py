import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgellm.api.errors import InvalidRequest
from forgellm.api.json_text import read_object, write_json

BAD = {
    "an array": b"[1]",
    "a text": b'"x"',
    "a number": b"1",
    "null": b"null",
    "half an object": b'{"a": 1',
    "two objects": b"{}{}",
    "a comment": b'{"a": 1 // why\n}',
    "a single quote": b"{'a': 1}",
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a number too large": b'{"a": 1e999}',
    "an integer of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"a": 1, "a": 2}',
    "a name twice further down": b'{"a": [{"b": 1, "b": 1}]}',
    "deep nesting": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a lone surrogate as a name": b'{"\\udc00": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "bad UTF-8": b'{"a": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a NUL": b'{"a": 1}\0',
    "spaces": b"   ",
}


@pytest.mark.parametrize("what", BAD)
def test_a_body_that_is_not_one_plain_object_is_refused(what):
    with pytest.raises(InvalidRequest) as caught:
        read_object(BAD[what])
    assert caught.value.status == 400
    assert caught.value.suggestion
    assert len(caught.value.message) < 300


def test_a_name_twice_is_found_among_many_in_no_time():
    names = [f'"k{number}":1' for number in range(10_000)]
    body = "{" + ",".join([*names, names[-1]]) + "}"
    start = time.thread_time()
    with pytest.raises(InvalidRequest, match="'k9999' stands in it twice"):
        read_object(body.encode())
    assert time.thread_time() - start < 0.5


def test_no_body_is_the_empty_object():
    assert read_object(b"") == {}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), plain))
def test_what_is_written_is_read_back(value):
    assert read_object(write_json(value)) == value


def test_a_number_that_is_not_finite_is_written_as_null():
    written = write_json({"a": math.nan, "b": [math.inf, {"c": -math.inf}], "d": 1.5})
    assert json.loads(written) == {"a": None, "b": [None, {"c": None}], "d": 1.5}


def test_text_that_is_not_unicode_leaves_as_ascii():
    assert write_json({"name": "bad\udcff"}) == b'{"name":"bad\\udcff"}'
