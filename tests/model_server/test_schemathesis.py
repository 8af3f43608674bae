"""Whatever the OpenAPI document allows, and much that it forbids, is asked of a model server with a model."""

import subprocess
import sys
from pathlib import Path

from forgellm.storage.files import read_json, write_json

CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"


def test_no_request_makes_it_fail_or_answer_in_another_shape(serve, workspace, tmp_path):
    config = workspace.base_models / "tiny" / "config.json"
    # Answers without a limit are short.
    write_json(config, {**read_json(config), "max_position_embeddings": 64})
    server, _ = serve()
    server.post("/api/model/load", {"model_name": "models/base/tiny"})
    program = Path(sys.executable).with_name("schemathesis")
    document = f"{server.url}/openapi.json"
    command = [program, "run", document, "--checks", CHECKS, "--max-examples", "12"]
    options = [
        *("--seed", "7"),
        "--no-color",
        *("--phases", "examples,coverage,fuzzing"),
        *("--suppress-health-check", "all"),
        # Nothing would be resident from then on.
        *("--exclude-path", "/api/model/unload"),
    ]
    run = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-14000:] + run.stderr[-2000:]
    assert server.get("/api/model/status").json()["model_name"] == "models/base/tiny"
