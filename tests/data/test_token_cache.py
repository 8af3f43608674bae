"""The tokens of a dataset are made once, and never taken for those of another state of its files."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pytest

from forgellm.data.token_cache import TokenCache
from forgellm.data.token_store import MANIFEST
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import InvalidDataset
from forgellm.storage.decisions import Decisions, write_decisions
from forgellm.storage.files import exclusive


@pytest.fixture
def cache(tmp_path):
    return TokenCache(tmp_path / "tokens")


@pytest.fixture
def domain(workspace):
    return workspace.datasets / "domain"


def tokens(cache, dataset, tokenizer, kind="documents"):
    with cache.opened(dataset, kind, tokenizer) as store:
        return store.read(0, int(store.offsets[-1]))[0].tolist()


def stores(tmp_path):
    return sorted(path.parent.name for path in (tmp_path / "tokens").glob(f"*/{MANIFEST}"))


def made(tmp_path):
    """When each store was made, to the file."""
    return [(tmp_path / "tokens" / name / "tokens").stat().st_mtime_ns for name in stores(tmp_path)]


def test_a_second_start_reads_what_the_first_has_made(cache, domain, tokenizer, tmp_path):
    first = tokens(cache, domain, tokenizer)
    when = made(tmp_path)
    assert tokens(cache, domain, tokenizer) == first
    assert made(tmp_path) == when


def test_another_content_tokenizer_or_decision_has_tokens_of_its_own(
    cache, domain, tokenizer, metaspace_tokenizer, tmp_path
):
    first = tokens(cache, domain, tokenizer)
    assert tokens(cache, domain, metaspace_tokenizer) != first
    path = domain / "brinmoor_notes.md"
    path.write_text(path.read_text().replace("Monday", "Sunday"))
    second = tokens(cache, domain, tokenizer)
    assert second != first
    write_decisions(domain, Decisions(excluded={"brinmoor_notes.md": [0]}))
    assert len(tokens(cache, domain, tokenizer)) < len(second)
    assert len(stores(tmp_path)) == 4


def test_another_end_of_text_has_tokens_of_its_own(cache, domain, tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    first = tokens(cache, domain, tokenizer)
    tokenizer.eos_token = "<|endoftext|>"
    assert tokens(cache, domain, tokenizer)[-1] == tokenizer.eos_token_id != first[-1]


def test_a_file_whose_time_was_set_back_is_read_again(cache, domain, tokenizer):
    first = tokens(cache, domain, tokenizer)
    path = domain / "brinmoor_notes.md"
    status = path.stat()
    path.write_text(path.read_text().replace("Monday", "Sunday"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert tokens(cache, domain, tokenizer) != first


def test_the_same_files_under_another_name_have_the_same_tokens(cache, domain, tokenizer, tmp_path):
    first = tokens(cache, domain, tokenizer)
    renamed = domain.rename(domain.with_name("renamed"))
    assert tokens(cache, renamed, tokenizer) == first
    assert len(stores(tmp_path)) == 1


@pytest.mark.parametrize("name", ["tokens", "marks", "offsets", "keys", MANIFEST])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_store_is_made_anew(cache, domain, tokenizer, tmp_path, name, damage):
    first = tokens(cache, domain, tokenizer)
    path = tmp_path / "tokens" / stores(tmp_path)[0] / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flipped" else data[: len(data) // 2])
    assert tokens(cache, domain, tokenizer) == first
    assert tokens(cache, domain, tokenizer) == first


def test_what_a_killed_process_left_behind_is_cleared_away(cache, domain, tokenizer, tmp_path):
    first = tokens(cache, domain, tokenizer)
    [name] = stores(tmp_path)
    (tmp_path / "tokens" / name).rename(tmp_path / "tokens" / f".partial-{name}")
    (tmp_path / "tokens" / f".partial-{name}" / MANIFEST).unlink()
    assert tokens(cache, domain, tokenizer) == first
    assert not list((tmp_path / "tokens").glob(".partial-*"))


def test_what_was_begun_for_a_dataset_that_nobody_uses_any_more_is_cleared_away(
    cache, domain, tokenizer, tmp_path
):
    left, going = (tmp_path / "tokens" / f".partial-{name}" for name in ("left", "going"))
    left.mkdir(parents=True)
    going.mkdir()
    with exclusive(tmp_path / "tokens" / "going.lock"):
        tokens(cache, domain, tokenizer)
    assert (left.exists(), going.exists()) == (False, True)


def test_two_at_once_make_the_tokens_once(domain, tokenizer, tmp_path):
    found = []

    def read():
        found.append(tokens(TokenCache(tmp_path / "tokens"), domain, tokenizer))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(one == found[0] for one in found)
    assert len(stores(tmp_path)) == 1


def test_a_store_can_be_read_on_while_it_is_removed(cache, domain, tokenizer, tmp_path):
    first = tokens(cache, domain, tokenizer)
    with cache.opened(domain, "documents", tokenizer) as store:
        for path in (tmp_path / "tokens" / stores(tmp_path)[0]).iterdir():
            path.unlink()
        assert store.read(0, int(store.offsets[-1]))[0].tolist() == first


def test_what_was_not_used_for_a_month_or_is_too_much_is_removed(
    cache, domain, workspace, tokenizer, tmp_path
):
    tokens(cache, domain, tokenizer)
    [old] = stores(tmp_path)
    long_ago = (tmp_path / "tokens" / old / MANIFEST).stat().st_mtime - 31 * 86_400
    os.utime(tmp_path / "tokens" / old / MANIFEST, (long_ago, long_ago))
    tokens(cache, workspace.datasets / "general", tokenizer)
    [kept] = stores(tmp_path)
    assert kept != old
    tokens(
        TokenCache(tmp_path / "tokens", most_bytes=1), workspace.datasets / "questions", tokenizer, "examples"
    )
    [last] = stores(tmp_path)
    assert last not in (kept, old)


def test_a_dataset_that_cannot_be_trained_on_leaves_nothing_behind(cache, workspace, tokenizer, tmp_path):
    with open(workspace.datasets / "questions" / "train.jsonl", "a") as file:
        file.write("oops\n")
    for _ in range(2):
        with pytest.raises(InvalidDataset, match="line 41"):
            tokens(cache, workspace.datasets / "questions", tokenizer, "examples")
    assert not stores(tmp_path)
    assert not list((tmp_path / "tokens").glob(".partial-*"))


def test_a_dataset_of_faults_alone_is_not_read_to_its_end(cache, workspace, tokenizer):
    (workspace.datasets / "questions" / "train.jsonl").write_text("oops\n" * 5000)
    with pytest.raises(InvalidDataset) as caught:
        tokens(cache, workspace.datasets / "questions", tokenizer, "examples")
    assert caught.value.details["count"] == 1001


def test_examples_are_kept_with_their_masks(cache, workspace, tokenizer):
    with cache.opened(workspace.datasets / "questions", "examples", tokenizer) as store:
        ids, learned = store.read(*store.span(0))
        row = json.loads((workspace.datasets / "questions" / "train.jsonl").read_text().split("\n")[0])
        assert tokenizer.decode(ids[learned.astype(bool)]) == row["completion"] + "<|im_end|>"
        assert (store.facts["train"], store.facts["valid"]) == (40, 0)
        assert store.largest == int(max(np.max(store.read(*store.span(n))[0]) for n in range(40)))


def test_who_waits_is_told_how_much_of_the_dataset_is_tokenised(workspace, tokenizer, tmp_path):
    folder = workspace.datasets / "large"
    (folder / "valid").mkdir(parents=True)
    for n in range(4):
        (folder / f"{n}.txt").write_text(f"{n} market " * 150_000)
    (folder / "valid" / "last.txt").write_text("The last. " * 150_000)
    told = []
    tokens(TokenCache(tmp_path / "tokens", attend=told.append), folder, tokenizer)
    assert len(told) >= 2
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] <= 1


def test_a_file_that_is_passed_over_counts_as_read_where_the_next_begins(workspace, tokenizer, tmp_path):
    folder = workspace.datasets / "rows"
    folder.mkdir()
    row = {"prompt": "When is the market in Brinmoor?", "completion": "On Monday."}
    (folder / "a.jsonl").write_text("\n".join([json.dumps({"text": "No question. " * 9})] * 3000))
    (folder / "b.jsonl").write_text("\n".join([json.dumps(row)] * 5000))
    told = []
    tokens(TokenCache(tmp_path / "tokens", attend=told.append), folder, tokenizer, kind="examples")
    assert 0.5 < told[-1] <= 1
