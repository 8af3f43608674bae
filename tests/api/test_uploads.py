"""Files that come in over HTTP: what is written, what is refused, and that nothing is left of the latter."""

import os
import shutil
import threading
from io import BytesIO

import pytest
from werkzeug.test import Client

from forgellm.api.access import access
from forgellm.api.uploads import UPLOAD_LIMIT
from forgellm.forge import Forge
from forgellm.services import ingestion
from forgellm.settings import Settings
from forgellm.web.app import create_app
from forgellm.web.serving import listen, serving
from tests.api.conftest import HOST, ask
from tests.api.test_routes import assert_error
from tests.web.raw import head, opened, parsed, rest

ROWS = b'{"prompt": "Q", "completion": "A"}\n' * 3
BOUNDARY = "----------------------------boundary"


@pytest.fixture(scope="module")
def application(tmp_path_factory, hub_cache):
    """One application for all tests here: making it takes longer than most of them."""
    forge = Forge(Settings(workspace=tmp_path_factory.mktemp("workspace"), hub_cache=hub_cache))
    yield forge, Client(create_app(forge, access("127.0.0.1", 5002, allow=(), token=None)).wsgi)
    forge.inspections.close()


@pytest.fixture
def forge(application):
    """With the dataset `domain`; whatever a test leaves is gone for the next one."""
    datasets = application[0].workspace.datasets
    (datasets / "domain").mkdir(parents=True)
    for name in ("alder_quay_notes.md", "dellwater_notes.md"):
        (datasets / "domain" / name).write_text(f"# {name}\n")
    yield application[0]
    shutil.rmtree(datasets)


@pytest.fixture
def client(application, forge):
    return application[1]


def upload(client, *files, headers=None, **fields):
    """(name, content) of each file."""
    sent = {"file": [(BytesIO(content), name) for name, content in files], **fields}
    return ask(client, "POST", "/api/datasets", data=sent, headers=headers)


def left(forge):
    """Everything below dataset/, hidden or not."""
    root = forge.workspace.datasets
    # What goes away meanwhile is no reason to fail.
    return sorted(
        os.path.relpath(os.path.join(place, name), root)
        for place, folders, files in os.walk(root)
        for name in (*folders, *files)
    )


def names(client):
    return [item["name"] for item in ask(client, "GET", "/api/datasets").get_json()["datasets"]]


def test_files_become_a_dataset(client, forge):
    answer = upload(client, ("train.jsonl", ROWS), ("valid.jsonl", ROWS), name="mine").get_json()
    assert (answer["dataset"], answer["files"]) == ("mine", ["train.jsonl", "valid.jsonl"])
    assert (forge.workspace.root / answer["path"] / "train.jsonl").read_bytes() == ROWS
    assert "mine" in names(client)
    assert sorted(p for p in left(forge) if "mine" in p or "incoming" in p) == [
        "mine",
        "mine/.dataset.json",
        "mine/train.jsonl",
        "mine/valid.jsonl",
    ]


def test_a_file_gives_its_name_where_there_is_no_other(client):
    assert upload(client, ("My answers (2).csv", b"prompt,completion\nQ,A\n")).get_json()["dataset"] == (
        "My_answers_2"
    )


@pytest.mark.parametrize("size", [0, 1, 2**18 - 1, 2**18, 2**18 + 1, 3 * 2**18 + 7])
def test_every_byte_arrives(client, forge, size):
    content = (b"\r\n--" + BOUNDARY.encode()[:20] + b"\n\r\x00\xff" + b"--\r\n--") * (size // 20 + 1)
    assert upload(client, ("odd.txt", content[:size]), name="odd").status_code == 200
    assert (forge.workspace.datasets / "odd" / "odd.txt").read_bytes() == content[:size]


def test_our_own_page_may_upload(client):
    headers = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin", "X-Forge-Request": "1"}
    assert upload(client, ("a.txt", b"text"), headers=headers).status_code == 200


def test_another_page_may_not_even_with_the_header(client):
    headers = {"Origin": "http://evil.example", "X-Forge-Request": "1"}
    assert_error(upload(client, ("a.txt", b"text"), headers=headers), 403, "FORBIDDEN")


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jsonl",
        ".bashrc",
        "x.html",
        "x.py",
        "x",
        "/etc/x.txt",
        ".jsonl",
        "a\nb.txt",
        "a/b.txt",
        "valid/../b.txt",
        "valid//b.txt",
        "/valid/b.txt",
        "valid/.b.txt",
        "valid/test/b.txt",
        "valid/",
    ],
)
def test_a_name_that_leads_elsewhere_or_is_of_no_kind_we_take_is_refused(client, forge, name):
    before = left(forge)
    assert_error(upload(client, ("good.txt", b"text"), (name, b"text")), 400)
    assert left(forge) == before


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "../x", "a b", "x" * 129, "ü"])
def test_a_dataset_that_no_folder_should_be_called_is_refused(client, forge, name):
    before = left(forge)
    assert_error(upload(client, ("a.txt", b"text"), name=name), 400, "INVALID_FIELD")
    assert left(forge) == before


def test_nothing_that_is_there_is_written_over(client, forge):
    before = left(forge)
    kept = (forge.workspace.datasets / "domain" / "dellwater_notes.md").read_bytes()
    assert_error(upload(client, ("a.txt", b"text"), name="domain"), 409, "DATASET_CONFLICT")
    same = upload(client, ("a.txt", b"1"), ("dellwater_notes.md", b"2"), name="domain", append="true")
    assert_error(same, 409, "DATASET_CONFLICT")
    assert_error(upload(client, ("a.txt", b"1"), ("a.txt", b"2"), name="two"), 409, "DATASET_CONFLICT")
    assert left(forge) == before
    assert (forge.workspace.datasets / "domain" / "dellwater_notes.md").read_bytes() == kept


def test_a_file_keeps_the_part_of_the_dataset_that_it_is_in(client, forge, tmp_path):
    parted = [("a.csv", b"prompt,completion\nQ,A\n"), ("valid/a.csv", b"prompt,completion\nR,B\n")]
    answer = upload(client, *parted, name="parted").get_json()
    assert answer["files"] == ["a.csv", "valid/a.csv"]
    folder = forge.workspace.datasets / "parted"
    assert (folder / "valid" / "a.csv").read_bytes() == parted[1][1]
    more = upload(client, ("valid/b.csv", b"prompt,completion\nS,C\n"), name="parted", append="true")
    assert more.status_code == 200
    assert {path.name for path in (folder / "valid").iterdir()} == {"a.csv", "b.csv"}
    again = upload(client, ("c.txt", b"1"), ("valid/b.csv", b"2"), name="parted", append="true")
    assert_error(again, 409, "DATASET_CONFLICT")
    assert not (folder / "c.txt").exists()
    (folder / "test").symlink_to(tmp_path)
    out = upload(client, ("test/b.csv", b"2"), name="parted", append="true")
    assert_error(out, 409, "DATASET_CONFLICT")
    assert not (tmp_path / "b.csv").exists()


def test_files_are_added_to_a_dataset_when_that_is_asked_for(client, forge):
    assert upload(client, ("a.txt", b"1"), name="domain", append="true").status_code == 200
    assert (forge.workspace.datasets / "domain" / "a.txt").read_bytes() == b"1"
    assert_error(upload(client, ("a.txt", b"1"), name="nothing", append="true"), 404, "DATASET_NOT_FOUND")


def test_a_link_in_the_place_of_a_dataset_is_not_followed(client, forge, tmp_path):
    (forge.workspace.datasets / "link").symlink_to(tmp_path / "nowhere")
    assert_error(upload(client, ("a.txt", b"text"), name="link"), 409, "DATASET_CONFLICT")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"name": "x"}, 400),
        ({"file": (BytesIO(b"text"), ""), "name": "x"}, 400),
        ({"attachment": (BytesIO(b"text"), "a.txt")}, 400),
        ({"file": (BytesIO(b"text"), "a.txt"), "title": "x"}, 400),
        ({"file": (BytesIO(b"text"), "a.txt"), "append": "maybe"}, 400),
        ({"file": (BytesIO(b"text"), "a.txt"), "name": ["x", "y"]}, 400),
        ({"file": (BytesIO(b"text"), "a.txt"), "name": "x" * 70_000}, 400),
    ],
)
def test_a_form_that_is_not_what_it_should_be_is_refused(client, forge, data, status):
    before = left(forge)
    assert_error(ask(client, "POST", "/api/datasets", data=data, content_type="multipart/form-data"), status)
    assert left(forge) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no parts at all",
        b"--B\r\n\r\ntext\r\n--B--\r\n",
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhalf',
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nall\r\n--B',
        b"--B\r\nX: " + b"y" * (2 << 20),
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nall\r\n--B--\r\n'
        + b"z" * (2 << 20),
    ],
)
def test_a_body_that_is_broken_leaves_nothing(client, forge, body):
    before = left(forge)
    response = ask(client, "POST", "/api/datasets", data=body, content_type="multipart/form-data; boundary=B")
    assert_error(response, 400)
    assert left(forge) == before


def test_what_the_disk_has_no_room_for_is_refused_before_it_is_read(client, forge, monkeypatch):
    monkeypatch.setattr(ingestion.shutil, "disk_usage", lambda _: ingestion.shutil._ntuple_diskusage(1, 1, 5))
    before = left(forge)
    assert_error(upload(client, ("a.txt", b"text")), 507, "DISK_FULL")
    assert left(forge) == before


def test_more_than_an_upload_may_have_is_refused_at_once(client):
    announced = {"CONTENT_LENGTH": str(UPLOAD_LIMIT + 1), "CONTENT_TYPE": "multipart/form-data; boundary=B"}
    for path in ("/api/datasets", "/api/upload_dataset", "/api/upload-dataset"):
        assert_error(ask(client, "POST", path, environ_overrides=announced), 413, "TOO_LARGE")
    announced["CONTENT_LENGTH"] = str(2 << 20)
    assert_error(ask(client, "GET", "/api/datasets", environ_overrides=announced), 413, "TOO_LARGE")


@pytest.fixture
def port(forge):
    listener = listen("127.0.0.1", 0)
    number = listener.getsockname()[1]
    app = create_app(forge, access("127.0.0.1", number, allow=(), token=None))
    with serving(listener, app.wsgi):
        yield number


def beginning(port, *length):
    kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="train.jsonl"\r\n\r\n'
    return head("/api/datasets", kind, *length, method="POST", port=port) + part.encode()


def incoming_bytes(forge):
    return sum(path.stat().st_size for path in forge.workspace.datasets.glob(".incoming-*/files/*"))


def wait_until(holds):
    tick = threading.Event()
    for _ in range(1000):
        if holds():
            return True
        tick.wait(0.01)
    return False


def test_an_upload_that_is_cut_off_half_way_leaves_nothing(port, client, forge):
    before, known = left(forge), names(client)
    with opened(port) as connection:
        connection.sendall(beginning(port, "Content-Length: 10000000") + b"x" * 5_000_000)
        assert wait_until(lambda: incoming_bytes(forge) >= 4_000_000)
        assert names(client) == known
    assert wait_until(lambda: left(forge) == before)


def test_an_upload_may_come_in_chunks(port, client, forge):
    end = f"\r\n--{BOUNDARY}--\r\n".encode()
    whole = beginning(port).partition(b"\r\n\r\n")[2] + ROWS + end
    pieces = [whole[n : n + 50] for n in range(0, len(whole), 50)]
    with opened(port) as connection:
        connection.sendall(
            beginning(port, "Transfer-Encoding: chunked").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        )
        for piece in pieces:
            connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        answer = parsed(rest(connection))
    assert answer.status == 200, answer
    assert (forge.workspace.datasets / "train" / "train.jsonl").read_bytes() == ROWS


def test_what_a_killed_server_left_is_cleared_away_by_the_next_upload_and_what_is_coming_is_not(
    port, client, forge
):
    abandoned = forge.workspace.datasets / ".incoming-abandoned"
    (abandoned / "files").mkdir(parents=True)
    (abandoned / "lock").touch()
    with opened(port) as connection:
        connection.sendall(beginning(port, "Content-Length: 10000000") + b"x" * 1_000_000)
        assert wait_until(lambda: incoming_bytes(forge) > 0)
        upload(client, ("a.txt", b"text"))
        assert not abandoned.exists()
        assert incoming_bytes(forge) > 0
    assert wait_until(lambda: incoming_bytes(forge) == 0)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/csv"])
def test_who_sends_a_file_as_a_bare_body_is_told_to_send_a_form(client, kind):
    answer = ask(client, "POST", "/api/upload-dataset", data=b"name=x", content_type=kind)
    assert_error(answer, 415)
    assert "curl -F file=@NAME" in answer.json["suggestion"]
