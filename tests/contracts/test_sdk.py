"""The client examples of the document, unchanged, against `forgellm start`: train, load, generate."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from forgellm.settings import packaged
from forgellm.storage.workspace import Workspace
from tests.cli.conftest import COMMAND, heed_interrupts
from tests.cli.servers import read_addresses
from tests.contracts.hub import MODEL, put_into_hub
from tests.contracts.sdk import ForgeLLMClient
from tests.jobs.sample_worker import end_all

JAVASCRIPT = Path(__file__).with_name("javascript") / "sdk.mjs"


@pytest.fixture
def url(worker_environment, tmp_path):
    """Where `forgellm start` serves a workspace with the document's dataset."""
    cache, root = tmp_path / "hub", tmp_path / "workspace"
    put_into_hub(cache)
    shutil.copytree(packaged("dataset") / "tamberlough", root / "dataset" / "my_domain")
    process = subprocess.Popen(
        [*COMMAND, "start", "--no-browser", "--web-port", "0", "--server-port", "0"],
        cwd=root,
        env={**worker_environment, "HF_HUB_CACHE": str(cache)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    yield f"http://127.0.0.1:{read_addresses(process)[0]}"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    end_all(Workspace.open(root))


def test_the_python_example(url):
    client = ForgeLLMClient(url)
    training_config = {
        "model_name": MODEL,
        "training_type": "cpt",
        "dataset": "my_domain",
        "max_iterations": 500,
    }
    result = client.start_training(training_config)
    assert result["training_id"].startswith("cpt_")
    assert client.get_training_status()["is_training"] is True
    response = client.generate_text("What is machine learning?", MODEL, max_tokens=200, temperature=0.7)
    assert response["response"]


def test_the_javascript_example(url):
    command = ["node", str(JAVASCRIPT), url, MODEL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["started"]["training_id"].startswith("cpt_")
    assert said["status"]["is_training"] is True
    assert said["generated"]["response"]
