"""``unbraid train`` as a user calls it, and what ``--help`` says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from unbraid_cli.app import app, run
from unbraid_training.checkpoint import load_checkpoint
from unbraid_training.data.folder import write_dataset
from unbraid_training.data.synthetic import SyntheticSpec, plant

Unbraid = Callable[..., tuple[int, str, str]]
SMALL = ("--split", "last-5", "--dimension", "8", "--epochs", "2")


@pytest.fixture
def unbraid(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Unbraid:
    """Runs a command in this process; returns exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["unbraid", *map(str, arguments)])
        code = run()
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(plant(SyntheticSpec(user_count=30, item_count=60, events_per_user=20)).dataset, folder)
    return folder


def test_files_become_a_checkpoint(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, stdout, stderr = unbraid("train", "--data", data, "--out", out, "--interests", "3", "--seed", "7", *SMALL)
    assert code == 0, stderr
    checkpoint = load_checkpoint(out)
    assert checkpoint.settings.interest_count == 3
    assert checkpoint.settings.dimension == 8
    assert checkpoint.settings.seed == checkpoint.training.seed == 7
    assert checkpoint.training.split == "last-5"
    assert f"next: unbraid export {out}" in stdout
    assert f"{checkpoint.training.event_count:,} of 30 users" in stdout
    assert "recall@50" in stdout
    for stretch in ("choosing epochs", "fitting the score", "training on all"):
        assert stretch in stderr
    reports = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(report["phase"], report["epoch"]) for report in reports[:2]] == [("select", 1), ("select", 2)]
    assert f"validation recall@50 {reports[0]['validation']['recall@50']:.4f}" in stderr


def test_the_encoder_is_what_the_options_say(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    parts = ("--trunk", "gru", "--no-time", "--extraction", "dynamic-routing", "--short-term", "--session-s", "1800")
    code, _, stderr = unbraid("train", "--data", data, "--out", tmp_path / "run", *SMALL, *parts)
    assert code == 0, stderr
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.encoder_spec.architecture == "gru/dynamic-routing/short-term"
    assert checkpoint.settings.encoder.session_s == 1_800.0


def test_a_second_call_loads_what_the_first_made(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    arguments = ("train", "--data", data, "--out", tmp_path / "run", *SMALL)
    assert unbraid(*arguments)[0] == 0
    before = (tmp_path / "run" / "config.json").stat().st_mtime_ns
    code, stdout, stderr = unbraid(*arguments)
    assert code == 0
    assert (tmp_path / "run" / "config.json").stat().st_mtime_ns == before
    assert "epoch" not in stderr
    assert "half-lives" in stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--decay", "fixed", "--half-life", "10"], "10, 10, 10, 10 days, fixed"),
        (["--decay", "none"], "none, nothing fades"),
    ],
)
def test_the_decay_can_be_chosen(
    unbraid: Unbraid, data: Path, tmp_path: Path, options: list[str], expected: str
) -> None:
    code, stdout, stderr = unbraid("train", "--data", data, "--out", tmp_path / "run", *SMALL, *options)
    assert code == 0, stderr
    assert expected in stdout
    assert "nats, cosine" in stderr


def test_the_report_can_be_made_again(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert unbraid("train", "--data", data, "--out", out, *SMALL)[0] == 0
    (out / "report.html").unlink()
    code, stdout, _ = unbraid("report", out)
    assert (code, stdout) == (0, f"{out / 'report.html'}\n")
    assert "Finished" in (out / "report.html").read_text()
    assert_refused(unbraid("report", tmp_path), "holds no training run", "unbraid train")


def test_a_sweep_prints_its_table_and_the_next_step(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(
        f'[data]\npath = "{data}"\nsplit = "last-5"\n[train]\nepochs = 1\ndimension = 8\n'
        "[train.ranker]\norigin_count = 0\n[sweep.train]\ninterest_count = [1, 2]\n"
    )
    code, stdout, stderr = unbraid("sweep", tmp_path / "experiment.toml", "--out", tmp_path / "runs")
    assert code == 0, stderr
    assert "run 2 of 2: interest_count 2" in stderr
    assert "interest_count" in stdout
    assert "ndcg@50" in stdout
    best = json.loads((tmp_path / "runs" / "sweep.json").read_text())["results"][0]["folder"]
    assert f"next: unbraid export {tmp_path / 'runs' / best}" in stdout
    assert_refused(unbraid("sweep", tmp_path / "nowhere.toml"), "nowhere.toml")


def test_left_out_rows_are_reported(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    events = (data / "events.csv").read_text()
    (tmp_path / "events.csv").write_text(events + '"user-1","item-2",soon,"view"\n')
    code, stdout, _ = unbraid("train", "--data", tmp_path, "--out", tmp_path / "run", *SMALL)
    assert code == 0
    assert "unparsable time" in stdout


def test_an_experiment_file_and_options_before_it(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(
        f'[data]\npath = "{data}"\nsplit = "last-5"\n[run]\nout = "{tmp_path / "run"}"\n'
        "[train]\nepochs = 2\ndimension = 16\nbatch_size = 64\n"
    )
    code, stdout, stderr = unbraid("train", "--config", tmp_path / "experiment.toml", "--dimension", "8", "--epochs", 1)
    assert code == 0, stderr
    settings = load_checkpoint(tmp_path / "run").settings
    assert (settings.dimension, settings.epochs, settings.batch_size) == (8, 1, 64)
    assert f"next: unbraid export {tmp_path / 'run'}" in stdout


def test_the_printed_experiment_can_be_run(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    arguments = ("--data", data, "--out", tmp_path / "run", *SMALL, "--interests", "2")
    code, text, stderr = unbraid("train", *arguments, "--print-config")
    assert (code, stderr) == (0, "")
    assert not (tmp_path / "run").exists()
    (tmp_path / "experiment.toml").write_text(text)
    code, again, _ = unbraid("train", "--config", tmp_path / "experiment.toml", "--print-config")
    assert (code, again) == (0, text)
    assert unbraid("train", "--config", tmp_path / "experiment.toml")[0] == 0
    assert load_checkpoint(tmp_path / "run").settings.interest_count == 2


def test_an_unknown_key_of_an_experiment_is_one_line(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(f'[data]\npath = "{data}"\n[train]\nlearning_rat = 1.0\n')
    assert_refused(unbraid("train", "--config", path), str(path), "train.learning_rat", "did you mean 'learning_rate'?")


def assert_refused(answer: tuple[int, str, str], *expected: str) -> None:
    code, _, stderr = answer
    assert code == 2
    assert stderr.startswith("error: ")
    assert stderr.count("\n") == 1, "one line"
    for text in expected:
        assert text in stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--interests", "0"], ["--interests"]),
        (["--interests", "65"], ["--interests"]),
        (["--dimension", "1"], ["--dimension"]),
        (["--epochs", "0"], ["--epochs"]),
        (["--epochs", "many"], ["--epochs"]),
        (["--seed", "-1"], ["--seed"]),
        (["--threads", "0"], ["--threads"]),
        (["--trunk", "oak"], ["--trunk", "transformer"]),
        (["--extraction", "by-hand"], ["--extraction", "dynamic-routing"]),
        (["--session-s", "0"], ["--session-s"]),
        (["--colour", "red"], ["--colour"]),
        (["--decay", "slow"], ["--decay", "learned"]),
        (["--half-life", "0"], ["--half-life", "is 0 days"]),
        (["--half-life", "1", "--half-life", "2"], ["half_lives_s", "has 2 values for 4 interests"]),
        (["--device", "tpu"], ["--device", "cuda"]),
        (["--split", "yesterday"], ["split", "yesterday", "last-10"]),
        (["--split", "last-0"], ["split", "last-0"]),
        (["--split", "before-2001-01-01"], ["split", "before-2001-01-01", "2024"]),
        (["--split", "last-500"], ["split", "no user has a target"]),
        (["--interests", "61"], ["interest_count", "is 61", "items only"]),
    ],
)
def test_a_wrong_option_is_one_line(
    unbraid: Unbraid, data: Path, tmp_path: Path, options: list[str], expected: list[str]
) -> None:
    assert_refused(unbraid("train", "--data", data, "--out", tmp_path / "run", *SMALL, *options), *expected)


def test_without_data_it_says_which_option_is_missing(unbraid: Unbraid, tmp_path: Path) -> None:
    assert_refused(unbraid("train", "--out", tmp_path / "run"), "--data")


def test_data_that_are_not_there(unbraid: Unbraid, tmp_path: Path) -> None:
    assert_refused(unbraid("train", "--data", tmp_path / "nowhere"), "nowhere")


HEADER = "user_id,item_id,timestamp\n"
ONE_SITTING = HEADER + "".join(
    f"u{user},i{(7 * event + 3 * user) % 20},1700000000\n" for user in range(5) for event in range(20)
)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ["events.csv"]),
        (HEADER, ["events.csv", "no"]),
        (HEADER + "u1,i1,soon\n", ["events.csv", "1 unparsable time"]),
        ("user,item\nu1,i1\n", ["events.csv", "user_id"]),
        (HEADER + "u1,i1,1700000000\n", ["split", "no user"]),
        (ONE_SITTING, ["data", "two different times"]),
    ],
)
def test_events_that_are_of_no_use(unbraid: Unbraid, tmp_path: Path, content: str, expected: list[str]) -> None:
    (tmp_path / "events.csv").write_text(content)
    assert_refused(unbraid("train", "--data", tmp_path, "--out", tmp_path / "run", "--split", "last-5"), *expected)


def test_a_folder_that_is_not_a_run(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter 1")
    assert_refused(unbraid("train", "--data", data, "--out", tmp_path, *SMALL), "is not empty", "--out")
    assert_refused(unbraid("train", "--data", data, "--out", tmp_path / "thesis.txt", *SMALL), "thesis.txt")


def test_the_run_of_other_settings(unbraid: Unbraid, data: Path, tmp_path: Path) -> None:
    assert unbraid("train", "--data", data, "--out", tmp_path / "run", *SMALL)[0] == 0
    other = unbraid("train", "--data", data, "--out", tmp_path / "run", *SMALL, "--seed", "8")
    assert_refused(other, "its seed is 1, this call has 8")


def commands(group: TyperGroup, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of every command, groups included."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *path, name)
        else:
            yield (*path, name)


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)


@pytest.mark.parametrize("path", list(commands(ROOT)), ids=" ".join)
def test_help_names_and_explains_every_option(unbraid: Unbraid, path: tuple[str, ...]) -> None:
    code, stdout, stderr = unbraid(*path, "--help")
    assert code == 0, stderr
    command = ROOT
    for name in path:
        assert isinstance(command, TyperGroup)
        command = command.commands[name]
    assert (command.help or "").partition("\n")[0].strip() in " ".join(stdout.split())
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in stdout
            explanation = getattr(parameter, "help", None)
            assert explanation, f"{parameter.opts[0]} has no help"
            assert explanation.split()[0] in stdout
    for name in command.commands if isinstance(command, TyperGroup) else ():
        assert name in stdout


HEAVY = {"faiss", "numpy", "onnx", "onnxruntime", "pyarrow", "pydantic", "scipy", "torch"}


def test_help_comes_quickly_because_nothing_heavy_is_loaded() -> None:
    script = (
        "import sys; sys.argv = ['unbraid', '--help']\n"
        "from unbraid_cli.app import run\n"
        "code = run()\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "Takes histories apart" in done.stdout
    assert not HEAVY & set(done.stderr.split())
