"""Pages of a finished study, and the folder of all."""

import shutil

import pytest

from fraudsim.errors import FraudsimError
from fraudsim.settings import Settings
from studies.frame.conduct import conduct
from studies.frame.page import html, terminal_pages
from studies.frame.publication import publish, read_study_result
from tests.studies.frame.small_study import report_of, small_study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "out"
    return out, conduct(small_study(), out, Settings(_env_file=None))


def test_a_page_stands_alone_and_has_every_part(finished):
    page = html(report_of(finished[1]))
    parts = ("Is other than base?", "It is not.", "Set-up", "Nothing &amp; nothing.", "Everything.", "small")
    assert all(part in page for part in parts)
    assert "http" not in page
    assert (finished[0] / "index.html").read_text() == page
    assert (finished[0] / "README.md").read_text().startswith("# Is other than base?")


def test_the_terminal_has_the_answer_above_the_first_table(finished):
    (page,) = terminal_pages(report_of(finished[1]))
    assert (page.title, page.text) == ("Is other than base?", "It is not.")
    assert page.grid.fits(80)


def test_publishing_draws_pages_from_the_kept_result(finished, tmp_path):
    out, result = finished
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(out / "result.json", kept)
    again = read_study_result(kept, small_study())
    assert again == result
    publish(tmp_path / "docs", {"small": (again, report_of(again))})
    index = (tmp_path / "docs" / "README.md").read_text()
    assert "[Is other than base?](small/README.md)" in index
    assert (tmp_path / "docs" / "small" / "index.html").read_text() == html(report_of(result))


def test_a_folder_without_a_result_is_one_line(tmp_path):
    with pytest.raises(FraudsimError, match=r"result.json: No such file or directory; run the study first"):
        read_study_result(tmp_path, small_study())
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(FraudsimError, match="run the study again"):
        read_study_result(tmp_path, small_study())
