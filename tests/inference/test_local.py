import pytest

from forgellm.domain.chat import Target
from forgellm.domain.errors import ModelNotFound
from forgellm.inference.local import LocalModel
from tests.inference.conftest import ask


def test_a_model_is_loaded_by_name_and_a_wrong_name_changes_nothing(start, workspace, hub_cache):
    model = LocalModel(workspace, hub_cache, start())
    model.load(Target("models/base/tiny"))
    answer, _ = ask(model, "When is the rope market held?")
    with pytest.raises(ModelNotFound):
        model.load(Target("models/base/tinny"))
    assert model.status().target == Target("models/base/tiny")
    assert ask(model, "When is the rope market held?")[0] == answer
    model.unload()
    assert model.status().target is None
