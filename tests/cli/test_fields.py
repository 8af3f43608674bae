import pytest
from click.testing import CliRunner

from forgellm.cli.main import main
from forgellm.domain.errors import InvalidField
from forgellm.domain.spec import fields, parse_spec, to_dict
from forgellm.services.spec_text import read_yaml

NEEDED = ["--model-name", "models/base/tiny", "--training-type", "cpt", "--dataset", "domain"]


def printed_yaml(*options: str, text: str | None = None) -> dict[str, object]:
    done = CliRunner().invoke(main, ["train", "--print-yaml", *options], input=text)
    assert done.exit_code == 0, done.output
    return read_yaml(done.stdout, name="printed")


def refused(*options: str, text: str | None = None) -> str:
    done = CliRunner().invoke(main, ["train", "--print-yaml", *options], input=text)
    assert done.exit_code == 2
    return done.stderr


def test_every_field_of_a_spec_is_an_option_with_its_help():
    shown = CliRunner().invoke(main, ["train", "--help"], terminal_width=300, color=False).stdout
    for name, field in fields().items():
        assert f"--{name.replace('_', '-')}" in shown
        assert field.typical in shown


def test_the_printed_yaml_means_the_same_as_the_options():
    options = [*NEEDED, "--learning-rate", "1e-4", "--train-also", "norms,output", "--epochs", "2"]
    values = printed_yaml(*options, "--grad-checkpoint", "--early-stopping-patience", "3")
    spec = parse_spec(values)
    assert (spec.learning_rate, spec.train_also, spec.epochs) == (1e-4, ("norms", "output"), 2.0)
    assert (spec.grad_checkpoint, spec.early_stopping_patience) == (True, 3)
    assert to_dict(spec) == values


def test_an_option_wins_over_the_file():
    text = "model_name: models/base/tiny\ntraining_type: cpt\ndataset: domain\nbatch_size: 8\nseed: 4\n"
    values = printed_yaml("--config", "-", "--batch-size", "1", text=text)
    assert (values["batch_size"], values["seed"]) == (1, 4)


def test_none_empties_a_field_that_may_be_empty():
    assert printed_yaml(*NEEDED, "--max-grad-norm", "none")["max_grad_norm"] is None


def test_a_field_out_of_bounds_is_refused_with_what_is_typical():
    message = refused(*NEEDED, "--batch-size", "0")
    assert "batch_size must be at least 1, not 0" in message
    assert f"Typical: {fields()['batch_size'].typical}" in message


def test_text_in_place_of_a_number_is_refused_with_what_is_typical():
    message = refused(*NEEDED, "--learning-rate", "fast")
    assert "learning_rate must be a number, not 'fast'" in message
    assert "Typical: 1e-6 to 1e-3" in message


def test_an_unknown_field_of_a_file_is_refused_with_the_nearest_known_one():
    message = refused("--config", "-", *NEEDED, text="learning_rat: 1e-4\n")
    assert "unknown field 'learning_rat'" in message
    assert "Did you mean learning_rate?" in message


def test_an_unknown_option_is_refused_with_the_nearest_known_one():
    assert "--learning-rate" in refused(*NEEDED, "--learning-rat", "1e-4")


def test_a_missing_field_is_named():
    assert "dataset is missing" in refused(*NEEDED[:4])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seed: [1\n", "not valid YAML"),
        ("- seed\n", "holds list, not fields"),
        ("seed: 1\nseed: 2\n", "seed is given twice"),
        ("seed: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_a_file_that_holds_no_fields_is_refused(text, reason):
    with pytest.raises(InvalidField, match=reason):
        read_yaml(text, name="run.yaml")
