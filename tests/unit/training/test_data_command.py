from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from unbraid_cli.data import app
from unbraid_core.errors import InvalidInput


def test_check_prints_the_report_and_a_summary(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,timestamp\nu1,a,2011-10-18\nu1,b,2011-11-18T07:00\nu2,b,[soon]\nu2,a,1318896000\n"
    )
    result = CliRunner().invoke(app, ["check", str(tmp_path)], terminal_width=200)
    assert result.exit_code == 0
    assert "left out: unparsable time" in result.stdout
    assert "line 4: '[soon]'" in result.stdout
    assert result.stdout.splitlines()[-1] == "2 users, 2 items, 3 events, 2011-10-18 to 2011-11-18"


def test_check_of_unusable_data_fails_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\nu,a,soon\n")
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert isinstance(result.exception, InvalidInput)
    assert "1 unparsable time" in result.exception.message
