"""A spec says exactly what is wrong with a wish, and what would be right."""

from __future__ import annotations

import dataclasses
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from forgellm.domain.errors import InvalidField
from forgellm.domain.form import changed_fields, form
from forgellm.domain.spec import TrainingSpec, check_values, field_type, fields, parse_spec, to_dict

NEEDED = {"model_name": "models/base/tiny", "training_type": "cpt", "dataset": "domain"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def refusal(**values) -> InvalidField:
    with pytest.raises(InvalidField) as caught:
        parse_spec(NEEDED | values)
    return caught.value


def spec_or_refusal(values) -> TrainingSpec | InvalidField:
    try:
        return parse_spec(values)
    except InvalidField as error:
        return error


def test_three_fields_are_enough():
    spec = parse_spec(NEEDED)
    assert (spec.model_name, spec.training_type, spec.dataset) == tuple(NEEDED.values())
    assert spec.early_stopping_patience is None
    assert spec.keep_checkpoints is None


@pytest.mark.parametrize("name", NEEDED)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_field_is_named(name, value):
    error = refusal(**{name: value})
    assert error.details["field"] == name
    assert f"{name} is missing" in error.message


def test_an_unknown_field_is_answered_with_the_nearest_known_one():
    error = refusal(learning_rte=1e-4)
    assert error.details == {"field": "learning_rte", "nearest": "learning_rate"}
    assert "Did you mean learning_rate?" in error.suggestion


def test_an_unknown_field_like_no_other_is_answered_with_all_of_them():
    assert "learning_rate" in refusal(zzz=1).suggestion


def test_a_key_that_is_not_text_is_an_unknown_field():
    with pytest.raises(InvalidField, match="unknown field 7"):
        parse_spec({**NEEDED, 7: "seven"})


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("batch_size", 0, "at least 1"),
        ("batch_size", 2.0, "a whole number"),
        ("batch_size", "2", "a whole number"),
        ("batch_size", True, "a whole number"),
        ("batch_size", None, "must not be empty"),
        ("batch_size", 10**400, "at most 4096"),
        ("learning_rate", 0, "greater than 0"),
        ("learning_rate", -1e-4, "greater than 0"),
        ("learning_rate", float("nan"), "finite"),
        ("learning_rate", float("inf"), "finite"),
        ("learning_rate", "fast", "a number"),
        ("learning_rate", 10**400, "finite"),
        ("learning_rate", [1e-4], "a number"),
        ("data_mixture_ratio", 1.01, "at most 1"),
        ("data_mixture_ratio", 0.0, "greater than 0"),
        ("validation_fraction", 0.6, "at most 0.5"),
        ("lora_dropout", 0.95, "at most 0.9"),
        ("max_seq_length", 7, "at least 8"),
        ("num_layers", -2, "at least -1"),
        ("seed", -1, "at least 0"),
        ("grad_checkpoint", "yes", "true or false"),
        ("grad_checkpoint", 1, "true or false"),
        ("training_type", "sft", "one of cpt, ift"),
        ("fine_tune_type", "qlora", "one of lora, dora, full"),
        ("train_also", ["embedding"], "one of embeddings, norms, output"),
        ("lora_keys", [1], "a list of names"),
        ("lora_keys", {"a": 1}, "a list of names"),
        ("dataset", 7, "text"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_accepted(name, value, reason):
    error = refusal(**{name: value})
    assert error.details["field"] == name
    assert reason in error.message
    assert fields()[name].help in error.suggestion


def test_a_refusal_names_the_typical_range_and_the_nearest_choice():
    assert "1 to 8" in refusal(batch_size=0).suggestion
    assert "Did you mean lora?" in refusal(fine_tune_type="lorra").suggestion


def test_numbers_are_read_as_yaml_and_people_write_them():
    spec = parse_spec(NEEDED | yaml.safe_load("{learning_rate: 5e-5, weight_decay: 0, epochs: 2}"))
    assert (spec.learning_rate, spec.weight_decay, spec.epochs) == (5e-5, 0.0, 2.0)
    assert all(isinstance(n, float) for n in (spec.learning_rate, spec.weight_decay, spec.epochs))


def test_lists_are_read_from_commas_too():
    spec = parse_spec({**NEEDED, "train_also": "embeddings, norms", "lora_keys": ["self_attn.q_proj"]})
    assert spec.train_also == ("embeddings", "norms")
    assert spec.lora_keys == ("self_attn.q_proj",)


def test_empty_text_leaves_an_optional_field_out():
    spec = parse_spec({**NEEDED, "max_iterations": "", "general_dataset": "", "max_grad_norm": None})
    assert (spec.max_iterations, spec.general_dataset, spec.max_grad_norm) == (None, None, None)


def test_epochs_and_iterations_exclude_each_other():
    assert "both" in refusal(epochs=1.0, max_iterations=10).message


def test_a_run_that_could_not_learn_is_refused():
    assert "nothing would learn" in refusal(num_layers=0).message
    assert "nothing would learn" in refusal(num_layers=0, data_mixture_ratio=0.5).message
    assert parse_spec({**NEEDED, "num_layers": 0, "train_also": ["embeddings"]}).num_layers == 0


def test_a_mixture_without_a_general_dataset_draws_on_the_one_called_general():
    assert parse_spec({**NEEDED, "data_mixture_ratio": 0.8}).general_dataset == "general"
    assert parse_spec({**NEEDED, "data_mixture_ratio": 0.8, "general_dataset": "g"}).general_dataset == "g"
    assert parse_spec(NEEDED).general_dataset is None


def test_a_spec_survives_json_and_yaml():
    spec = parse_spec({**NEEDED, "train_also": ["norms"], "learning_rate": 3e-5, "lora_keys": ["a", "b"]})
    assert parse_spec(json.loads(json.dumps(to_dict(spec)))) == spec
    assert parse_spec(yaml.safe_load(yaml.safe_dump(to_dict(spec)))) == spec


def test_every_field_explains_itself_and_its_default_is_within_its_own_bounds():
    for field in dataclasses.fields(TrainingSpec):
        assert fields()[field.name].help
        assert field_type(field.name)[0] in (str, int, float, bool)
    assert parse_spec(to_dict(parse_spec(NEEDED))) == parse_spec(NEEDED)


@given(name=st.sampled_from(sorted(fields())), value=VALUES)
def test_any_value_is_either_accepted_or_refused_by_name(name, value):
    outcome = spec_or_refusal({**NEEDED, name: value})
    if isinstance(outcome, InvalidField):
        assert outcome.details["field"] == name
        assert outcome.suggestion
    else:
        assert parse_spec(to_dict(outcome)) == outcome


@given(values=st.dictionaries(st.text(max_size=20), VALUES, max_size=4))
def test_any_mapping_is_answered_with_a_spec_or_a_named_field(values):
    with pytest.raises(InvalidField) as caught:
        parse_spec(values)
    assert "field" in caught.value.details


def test_dropout_with_recomputed_activations_is_refused():
    # The second pass draws another mask: the gradient would be that of another function.
    with pytest.raises(InvalidField, match="cannot be used together"):
        parse_spec(NEEDED | {"grad_checkpoint": True, "lora_dropout": 0.1})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("One prompt, with a comma", ("One prompt, with a comma",)),
        (["a", "  ", "b"], ("a", "b")),
        ([], ()),
    ],
)
def test_sample_prompts_are_texts_and_not_names_between_commas(given, kept):
    assert parse_spec(NEEDED | {"sample_prompts": given}).sample_prompts == kept


@pytest.mark.parametrize("wrong", [["x"] * 9, ["x" * 2001], ["\ud800"], ["a\0b"], [3], 3])
def test_sample_prompts_are_bounded_in_number_and_length(wrong):
    with pytest.raises(InvalidField) as caught:
        parse_spec(NEEDED | {"sample_prompts": wrong})
    assert caught.value.details["field"] == "sample_prompts"


def test_every_field_stands_once_in_the_form():
    assert sorted(field.name for field in form()) == sorted(fields())


def test_what_is_not_at_its_default_is_listed():
    spec = parse_spec(NEEDED | {"train_also": ["norms"], "lora_keys": None, "learning_rate": 5e-5, "seed": 1})
    assert changed_fields(spec) == ["train_also", "seed"]


def test_all_that_is_wrong_is_found_at_once():
    checked, problems = check_values({"model_name": "", "lora_rank": 0, "batch_size": 4, "lora_rnk": 1})
    assert {p.details["field"] for p in problems} == {
        *("model_name", "training_type", "dataset", "lora_rank", "lora_rnk")
    }
    assert checked == {"batch_size": 4}
