import pytest

from forgellm.domain.chat import Target
from forgellm.domain.errors import ModelNotFound, OutOfMemory
from forgellm.inference.local import LocalModel
from tests.inference.conftest import ask


def test_a_model_that_does_not_fit_is_refused_unless_forced(shared, workspace, hub_cache):
    model = LocalModel(workspace, hub_cache, shared(), available=lambda: 1000)
    with pytest.raises(OutOfMemory, match="needs about"):
        model.load(Target("models/base/tiny"))
    assert model.status().target is None
    model.load(Target("models/base/tiny"), force=True)
    assert ask(model, "When is the rope market held?")[0]
    # What is resident would be given back first.
    model.load(Target("base/tiny"))


def test_a_model_is_loaded_by_name_and_a_wrong_name_changes_nothing(shared, workspace, hub_cache):
    model = LocalModel(workspace, hub_cache, shared())
    model.load(Target("models/base/tiny"))
    answer, _ = ask(model, "When is the rope market held?")
    with pytest.raises(ModelNotFound):
        model.load(Target("models/base/tinny"))
    assert model.status().target == Target("models/base/tiny")
    assert ask(model, "When is the rope market held?")[0] == answer
    model.unload()
    assert model.status().target is None
