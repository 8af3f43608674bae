"""A start over HTTP on data with a fault: refused with file, line and reason, and no run is left behind."""

import pytest

from tests.api.conftest import ask
from tests.data.faults import FAULTS, write_good

SOME = ["utf-16", "half a line", "deep nesting", "csv with an open quote", "parquet with null", "preferences"]


@pytest.mark.parametrize("name", SOME)
def test_a_start_is_refused_with_the_place_of_the_fault(client, workspace, name):
    fault = FAULTS[name]
    write_good(workspace.datasets / "mine")
    (workspace.datasets / "mine" / fault.file).write_bytes(fault.data)
    body = {"model_name": "base/tiny", "dataset": "mine", "training_type": "ift", "max_seq_length": 64}
    response = ask(client, "POST", "/api/training/start", json=body)
    assert response.status_code == 400
    answer = response.get_json()
    assert answer["error_code"] == "INVALID_DATASET"
    problem = answer["details"]["problems"][0]
    assert (problem["file"], problem["line"]) == (f"mine/{fault.file}", fault.line)
    assert fault.reason in problem["reason"]
    assert problem["suggestion"]
    assert not (workspace.models / "ift").exists()
