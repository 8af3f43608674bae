"""What holds for every rule of the route table, whatever it does."""

import re
from io import BytesIO

import pytest

from forgellm.api import model_routes
from forgellm.api.errors import is_openai, strict_keys
from forgellm.api.guard import JSON_LIMIT
from forgellm.web.pages import is_page
from tests.api.conftest import HOST, ask

UPLOADS = [
    ("POST", "/api/datasets"),
    ("POST", "/api/upload_dataset"),
    ("POST", "/api/upload-dataset"),
    ("POST", "/modelforge/api/upload_dataset"),
    ("POST", "/sienn-ai/api/upload-dataset"),
]
# As a form or as JSON.
EITHER = [("POST", "/v1/fine-tune"), ("POST", "/ai-forge/v1/fine-tune")]
# Answered by the model server alone, in tests/model_server and tests/contracts.
MODEL = {route.path for route in model_routes.ROUTES}


def filled(path):
    """With something in the place of its variables."""
    return re.sub(r"<(?:\w+:)?\w+>", "thing", re.sub(r"<number:\w+>", "1", path))


SHAPE = {
    "success": bool,
    "error": str,
    "detail": str,
    "details": dict,
    "error_code": str,
    "status_code": int,
    "suggestion": str,
    "timestamp": str,
}
FOREIGN_ORIGINS = [
    "http://evil.example",
    "null",
    "http://127.0.0.1:5001",
    "https://127.0.0.1:5002",
    "file://",
    "http://127.0.0.1:5002.evil.example",
]
FOREIGN_HOSTS = [
    "evil.example:5002",
    "127.0.0.1.evil.example:5002",
    "localhost.:5002",
    "0.0.0.0:5002",
    "127.0.0.1",
    "",
]


def rules(web):
    """(method, a path) of every rule, with something in the place of its variables."""
    for rule in web.flask.url_map.iter_rules():
        if rule.websocket:
            continue
        path = filled(rule.rule)
        for method in sorted(rule.methods - {"HEAD"}):
            yield method, path


def assert_error(response, status, code=None):
    body = response.get_json()
    assert response.status_code == status, body
    keys = strict_keys(response.request.path)
    if keys is not None:
        assert {key: type(value) for key, value in body.items()} == {key: SHAPE[key] for key in keys}
        return body
    if is_openai(response.request.path):
        assert body["error"].keys() == {"message", "type", "param", "code"}
        body = {**body, "error": body["error"]["message"]}
    assert {key: type(value) for key, value in body.items()} == SHAPE
    assert body["success"] is False
    assert body["status_code"] == status
    assert body["error"] == body["detail"]
    if code is not None:
        assert body["error_code"] == code
    return body


def test_every_route_is_documented_and_every_documented_route_exists(web, client):
    served = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in web.flask.url_map.iter_rules()
        if not rule.websocket
        for method in rule.methods - {"HEAD"}
    }
    document = ask(client, "GET", "/openapi.json").get_json()
    documented = {(method, path) for path, item in document["paths"].items() for method in item}
    assert served == documented
    assert len(served) >= 20


def test_every_operation_says_what_it_does_and_has_a_name_of_its_own(client):
    document = ask(client, "GET", "/openapi.json").get_json()
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    assert all(operation["summary"] for operation in operations)
    assert all({"200", "default"} <= set(operation["responses"]) for operation in operations)


def test_a_request_from_another_page_is_refused_at_every_route(web, client):
    for method, path in rules(web):
        for origin in FOREIGN_ORIGINS:
            response = ask(client, method, path, headers={"Origin": origin})
            assert_error(response, 403, "FORBIDDEN")
            assert "Access-Control-Allow-Origin" not in response.headers


def test_a_request_to_another_name_is_refused_at_every_route(web, client):
    for method, path in rules(web):
        for host in FOREIGN_HOSTS:
            response = client.open(path, method=method, headers={"Host": host})
            assert_error(response, 403, "FORBIDDEN")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_from_another_site_is_refused_at_every_route(web, client, site):
    for method, path in rules(web):
        response = ask(client, method, path, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})
        assert_error(response, 403, "FORBIDDEN")


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None],
)
def test_a_body_that_any_page_could_send_is_refused_at_every_route(web, client, content_type):
    for method, path in rules(web):
        response = ask(client, method, path, data=b'{"a": 1}', content_type=content_type)
        if (method, path) in [*UPLOADS, *EITHER] and content_type is not None and "multipart" in content_type:
            assert_error(response, 400, "INVALID_REQUEST")
        else:
            assert_error(response, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("sender", [{"Origin": f"http://{HOST}"}, {"Sec-Fetch-Site": "same-origin"}])
def test_a_form_that_a_page_could_send_unasked_is_refused_where_files_are_taken(client, sender):
    for method, path in UPLOADS:
        file = {"file": (BytesIO(b"text"), "a.txt")}
        assert_error(ask(client, method, path, data=file, headers=sender), 403, "FORBIDDEN")
        assert_error(ask(client, method, path, headers=sender), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_of_a_terabyte_is_refused_at_once_at_every_route(web, client):
    for method, path in rules(web):
        announced = {"CONTENT_LENGTH": str(10**12), "CONTENT_TYPE": "application/json"}
        response = ask(client, method, path, environ_overrides=announced)
        assert_error(response, 413, "TOO_LARGE")


def test_an_unknown_field_is_refused_at_every_route(web, client):
    for method, path in rules(web):
        # The page takes any.
        if is_page(path) or path in map(filled, MODEL):
            continue
        response = ask(client, method, path, query_string={"no_such_field": "1"})
        assert_error(response, 400, "INVALID_FIELD")
        if method == "POST" and (method, path) not in UPLOADS:
            assert_error(ask(client, method, path, json={"no_such_field": 1}), 400, "INVALID_FIELD")


def test_the_page_opens_whatever_a_link_adds_to_its_address(client):
    response = ask(client, "GET", "/?utm_source=mail&utm_source=x", headers={"Accept": "text/html"})
    assert (response.status_code, response.mimetype) == (200, "text/html")


def test_thousands_of_unknown_fields_have_a_short_answer(client):
    body = {f"unknown_{n}": n for n in range(20_000)}
    response = ask(client, "POST", "/api/training/start", json=body)
    assert_error(response, 400, "INVALID_FIELD")
    assert len(response.data) < 10_000


def test_every_answer_has_the_headers_that_keep_a_browser_in_bounds(web, client):
    paths = [*rules(web), ("GET", "/nowhere"), ("PUT", "/api/health")]
    for method, path in paths:
        headers = ask(client, method, path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"


def test_reading_changes_nothing(web, client, forge):
    def everything():
        root = forge.workspace.root
        return {p.relative_to(root): p.lstat().st_mtime_ns for p in root.rglob("*")}

    before = everything()
    for method, path in rules(web):
        if method == "GET":
            ask(client, method, path)
    assert everything() == before


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/api/health/", 200, None),
        ("GET", "/api//health", 404, "NOT_FOUND"),
        ("PUT", "/api/health", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/api/health", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/api/health", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/api/training/start", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/static/../setup.py", 403, "INVALID_PATH"),
        ("GET", "/static/" + "a" * 300, 404, "PATH_NOT_FOUND"),
        ("GET", "/api/filesystem/browse?path=" + "a" * 300, 403, "INVALID_PATH"),
        ("GET", "/api/runs/nothing", 404, "RUN_NOT_FOUND"),
        ("GET", "/api/filesystem/browse?path=..", 403, "INVALID_PATH"),
        ("GET", "/api/filesystem/browse?path=nothing", 404, "PATH_NOT_FOUND"),
        ("GET", "/api/filesystem/browse?path=dataset&path=models", 400, "INVALID_FIELD"),
        ("GET", "/api/runs?limit=0", 400, "INVALID_FIELD"),
        ("GET", "/api/runs?state=sleeping", 400, "INVALID_FIELD"),
    ],
)
def test_failures_have_one_shape(client, method, path, status, code):
    response = ask(client, method, path)
    if status == 200:
        assert response.status_code == 200
    else:
        assert_error(response, status, code)


def test_what_may_be_asked_is_said_where_the_method_is_wrong(client):
    assert set(ask(client, "PUT", "/api/health").headers["Allow"].split(", ")) == {"GET", "HEAD"}


def test_a_body_in_pieces_is_bounded_too(client):
    endless = {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_TYPE": "application/json",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": _Endless(),
        "wsgi.input_terminated": True,
    }
    response = ask(client, "POST", "/api/training/start", environ_overrides=endless)
    assert_error(response, 413, "TOO_LARGE")


class _Endless:
    """A body that never ends."""

    given = 0

    def read(self, size=-1):
        self.given += size
        assert self.given < 4 * JSON_LIMIT
        return b" " * size

    def readinto(self, buffer):
        buffer[:] = b" " * len(buffer)
        self.given += len(buffer)
        assert self.given < 4 * JSON_LIMIT
        return len(buffer)


def test_a_websocket_where_there_is_none_is_refused_in_words(client):
    handshake = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    body = assert_error(ask(client, "GET", "/api/health", headers=handshake), 400, "INVALID_REQUEST")
    assert body["error"] == "there is no WebSocket at '/api/health'"
    assert "/socket.io/" in body["suggestion"]


def test_a_body_in_broken_pieces_is_refused_in_words(client):
    broken = {
        "HTTP_TRANSFER_ENCODING": "chunked",
        "CONTENT_TYPE": "application/json",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.input": _Broken(),
        "wsgi.input_terminated": True,
    }
    body = assert_error(ask(client, "POST", "/api/training/stop", environ_overrides=broken), 400)
    assert body["error"] == "the body is cut off, or its pieces cannot be told apart"
    assert body["suggestion"]


class _Broken:
    """A body whose pieces have lengths that are none; Werkzeug's reader says so by this error."""

    def read(self, size=-1):
        raise OSError("Invalid chunk header")

    def readinto(self, buffer):
        raise OSError("Invalid chunk header")


def test_what_nobody_foresaw_is_an_error_of_the_same_shape_and_says_nothing_of_the_inside(
    web, client, caplog
):
    def fail():
        raise ZeroDivisionError("secret of the inside")

    web.flask.add_url_rule("/fail", view_func=fail)
    response = ask(client, "GET", "/fail")
    assert_error(response, 500, "INTERNAL_ERROR")
    assert "secret" not in response.get_data(as_text=True)
    assert "secret of the inside" in caplog.text


def test_no_place_of_the_machine_is_in_an_error(client, forge):
    response = ask(
        client,
        "POST",
        "/api/training/start",
        json={"model_name": "models/base/nothing", "training_type": "cpt", "dataset": "domain"},
    )
    body = assert_error(response, 404, "MODEL_NOT_FOUND")
    assert str(forge.workspace.root) not in response.get_data(as_text=True)
    assert body["details"]["searched_paths"][0] == "models"


@pytest.mark.parametrize("field", ["dataset", "general_dataset", "model_name", "start_from"])
def test_a_name_that_no_file_can_have_is_refused_in_every_field(client, field):
    wish = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "domain"}
    if field == "general_dataset":
        wish["data_mixture_ratio"] = 0.5
    response = ask(client, "POST", "/api/training/start", json={**wish, field: "a" * 300})
    assert_error(response, 403, "INVALID_PATH")


@pytest.mark.parametrize(
    "run_id", ["/etc/passwd", "../..", ".", "", "..", "%2e%2e%2f%2e%2e", "a b", "x" * 200, "%2fetc", "a%0ab"]
)
def test_nothing_is_deleted_but_a_run_by_its_id(client, forge, run_id):
    canary = forge.workspace.root.parent / "canary"
    canary.mkdir()
    before = sorted(forge.workspace.root.rglob("*"))
    response = client.open(f"/api/runs/{run_id}", method="DELETE", base_url=f"http://{HOST}")
    assert_error(response, 400)
    assert canary.is_dir()
    assert sorted(forge.workspace.root.rglob("*")) == before
