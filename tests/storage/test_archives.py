"""A folder as a ZIP archive."""

from __future__ import annotations

import io
import zipfile

from forgellm.storage.archives import zipped


def test_a_folder_is_packed_without_hidden_files_and_what_links_lead_to(tmp_path):
    folder, outside = tmp_path / "export", tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (folder / "model.gguf").write_bytes(bytes(3 << 20))
    (folder / "inner" / "note.txt").write_text("note")
    (folder / "._model.gguf").write_bytes(b"what macOS keeps beside a file")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "model.lock").touch()
    (folder / "link.txt").symlink_to(outside / "secret")
    (folder / "linked").symlink_to(outside)
    packed = zipfile.ZipFile(io.BytesIO(b"".join(zipped(folder, top="mine"))))
    assert packed.testzip() is None
    assert {entry.filename: entry.file_size for entry in packed.infolist()} == {
        "mine/model.gguf": 3 << 20,
        "mine/inner/note.txt": 4,
    }
