import json
import re

import pytest

from tests.cli.conftest import SHORT_CPT


def test_a_chosen_checkpoint_is_published_and_measured_again(forgellm, workspace):
    trained = forgellm(*SHORT_CPT, "--max-iterations", "20", "--save-every", "10")
    assert trained.returncode == 0, trained.stderr
    ranking = json.loads(forgellm("checkpoints", "1", "--json").stdout)
    published = forgellm("publish", "--iteration", "10", "--name", "first")
    assert published.returncode == 0, published.stderr
    loss = next(c["validation_loss"] for c in ranking["checkpoints"] if c["iteration"] == 10)
    assert f"validation loss of the checkpoint: {loss:.4f}" in published.stdout
    again = re.search(r"validation loss of the published model: (\d+\.\d+)", published.stdout)
    # The base is float32: fusing changes the last digits only.
    assert float(again[1]) == pytest.approx(loss, abs=2e-4)
    assert "models/published/first" in published.stdout
    assert (workspace.published / "first" / "README.md").is_file()
