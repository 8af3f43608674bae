import pytest

from forgellm.domain.chat import Target
from forgellm.domain.errors import ModelNotFound, OutOfMemory
from forgellm.inference.local import LocalModel
from forgellm.inference.memory import Room, needed_bytes
from forgellm.storage.targets import find_source
from tests.inference.conftest import ask


def test_a_model_that_does_not_fit_is_refused_unless_forced(shared, workspace, hub_cache):
    model = LocalModel(workspace, hub_cache, shared(), room=lambda: Room(1000))
    with pytest.raises(OutOfMemory, match="needs about"):
        model.load(Target("models/base/tiny"))
    assert model.status().target is None
    model.load(Target("models/base/tiny"), force=True)
    assert ask(model, "When is the rope market held?")[0]
    # What is resident would be given back first.
    model.load(Target("base/tiny"))


def test_where_the_system_makes_room_only_what_exceeds_the_most_is_refused(
    shared, workspace, hub_cache, caplog
):
    needed = needed_bytes(find_source(workspace, hub_cache, Target("models/base/tiny")))
    model = LocalModel(workspace, hub_cache, shared(), room=lambda: Room(1000, needed))
    model.load(Target("models/base/tiny"))
    assert ask(model, "When is the rope market held?")[0]
    assert "has to make room" in caplog.text
    model.unload()
    for free in (1000, 2 * needed):
        model = LocalModel(workspace, hub_cache, shared(), room=lambda free=free: Room(free, needed - 1))
        with pytest.raises(OutOfMemory, match="can be had"):
            model.load(Target("models/base/tiny"))


def test_a_model_is_loaded_by_name_and_a_wrong_name_changes_nothing(shared, workspace, hub_cache):
    model = LocalModel(workspace, hub_cache, shared(), room=lambda: Room(1 << 30))
    model.load(Target("models/base/tiny"))
    answer, _ = ask(model, "When is the rope market held?")
    with pytest.raises(ModelNotFound):
        model.load(Target("models/base/tinny"))
    assert model.status().target == Target("models/base/tiny")
    assert ask(model, "When is the rope market held?")[0] == answer
    model.unload()
    assert model.status().target is None
