"""What is put on the Hub: files of the model, and nothing that lies beside them."""

from __future__ import annotations

import pytest

from forgellm.domain.errors import UnsupportedExport
from forgellm.exporting.hub_files import gguf_files


def test_what_macos_keeps_beside_a_file_is_no_gguf_file(tmp_path):
    (tmp_path / "._town-f16.gguf").write_bytes(b"what macOS keeps beside a file")
    with pytest.raises(UnsupportedExport, match="no GGUF file"):
        gguf_files(tmp_path)
    (tmp_path / "town-f16.gguf").write_bytes(b"GGUF")
    assert gguf_files(tmp_path) == [tmp_path / "town-f16.gguf"]
