from forgellm.cli.checkpoint_table import checkpoint_lines
from forgellm.cli.display import PlainDisplay
from forgellm.cli.tables import duration, size, table
from forgellm.cli.wording import event_line
from forgellm.domain.checkpoints import Checkpoint, rank
from forgellm.services.progress import Progress, advance


def train(iteration: int) -> dict[str, object]:
    return {"seq": iteration, "type": "train", "iteration": iteration, "training_loss": 2.5}


def test_a_log_gets_every_lasting_event_and_train_figures_only_now_and_then():
    lines, progress = [], Progress()
    times = iter([0.0, 5.0, 9.9, 10.0])
    display = PlainDisplay(lines.append, lambda: next(times))
    validation = {"seq": 9, "type": "validation", "iteration": 4, "validation_loss": 1.5}
    for event in (*(train(n) for n in (1, 2, 3, 4)), validation):
        progress = advance(progress, event)
        display.show(event, progress)
    assert lines == [
        "iteration 1, loss 2.5000",
        "iteration 4, loss 2.5000",
        "iteration 4: validation loss 1.5000, perplexity 4.48",
    ]


def test_a_validation_of_preferences_has_rewards_and_no_perplexity():
    rewards = {"validation_reward_margin": 1.25, "validation_reward_accuracy": 0.75}
    event = {"seq": 2, "type": "validation", "iteration": 4, "validation_loss": 0.5, **rewards}
    assert event_line(event) == "iteration 4: validation loss 0.5000, reward margin 1.2500, preferred 75%"


def test_the_corpus_is_told_with_what_was_left_out_of_it_and_how_often_general_data_comes():
    general = {"drawn_sequences": 30, "sequences": 12, "notes": ["g/b.md: is read as CP932"]}
    counts = {"train_sequences": 1200, "learned_tokens": 9000, "split": "valid/"}
    notes = [f"d/{n}.docx: is left out,\x1b[31m because it has no text" for n in range(6)]
    event = {"seq": 3, "type": "corpus", **counts, "notes": notes, "general": general}
    first, repeated, *rest = event_line(event).splitlines()
    assert first == "Corpus: 1,200 sequences, 9,000 tokens to learn, valid/"
    assert repeated == "  general data: 30 sequences, each of them 2.5 times"
    assert (len(rest), "d/0.docx" in rest[0], "\x1b" in rest[0]) == (6, True, False)
    assert rest[-1].startswith("  … and 2 more notes")


def test_columns_are_aligned_and_a_dash_stands_for_what_was_not_measured():
    assert table(("n", "name"), [("1", "a"), ("10", "bcdef")], left=("name",)) == [
        " n  name",
        " 1  a",
        "10  bcdef",
    ]


def test_where_there_is_no_room_columns_are_left_out_and_then_names_are_cut():
    headers, rows = ("name", "made", "size"), [("models/base/one-of-many", "2026-01-02 03:04", "8.0 GB")]
    whole = [
        "name                     made                size",
        "models/base/one-of-many  2026-01-02 03:04  8.0 GB",
    ]
    for width, expected in [
        (None, whole),
        (49, whole),
        (48, ["name                       size", "models/base/one-of-many  8.0 GB"]),
        (25, ["name                 size", "…base/one-of-many  8.0 GB"]),
        (3, ["name            size", "…one-of-many  8.0 GB"]),
    ]:
        shown = table(headers, rows, left=("name", "made"), width=width, narrow=(("made", 0), ("name", 12)))
        assert (width, shown) == (width, expected)


def test_durations_and_sizes_read_well():
    assert [duration(s) for s in (None, 4.4, 65, 7260)] == ["-", "4 s", "1 min 05 s", "2 h 01 min"]
    assert [size(s) for s in (999, 133_900, 8_000_000_000)] == ["999 B", "133.9 kB", "8.0 GB"]


def test_the_ranking_marks_the_best_the_ties_and_what_is_unusable():
    same = ((10.0, 5), (20.0, 10))
    checkpoints = [
        Checkpoint(10, "models/cpt/a/0000010_adapters.safetensors", "", 5, 2.0, sequence_losses=same),
        Checkpoint(20, "models/cpt/a/0000020_adapters.safetensors", "", 5, 2.0, sequence_losses=same),
        Checkpoint(
            30,
            "models/cpt/a/0000030_adapters.safetensors",
            "",
            5,
            2.5,
            sequence_losses=((12.5, 5), (25.0, 10)),
        ),
        Checkpoint(
            40, "models/cpt/a/0000040_adapters.safetensors", "", 5, None, problem="its file is missing"
        ),
    ]
    lines = checkpoint_lines(rank(checkpoints))
    assert [line.split("safetensors", 1)[1].strip() for line in lines[1:5]] == [
        "best",
        "tie",
        "",
        "its file is missing",
    ]
    assert lines[4].split()[:3] == ["-", "40", "-"]
    assert lines[5].startswith("tie: ")
