"""The export in a real spreadsheet: what people and the platform wrote stays text, however the file is opened."""

import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from imodels_app.audit import events
from imodels_app.audit.verify_export import SEPARATORS
from imodels_app.runtime import clock
from imodels_app.states import Verb
from tests.exports import unpacked
from tests.settings import IN_CI

TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", " =1+1", "\t=1+1", "＝1+1", '=HYPERLINK("https://evil.example")', "=A1"]
BEFORE = ["", "Pier; ", "Pier;", "Pier,", "Pier\t", "Pier|", "Pier\n", 'Pier";', 'Pier",']


@pytest.fixture(scope="session")
def office(tmp_path_factory) -> Path:
    """A profile of LibreOffice's own."""
    if not shutil.which("soffice"):
        why = "no LibreOffice on PATH (Debian: apt install libreoffice-calc-nogui)"
        pytest.fail(why) if IN_CI else pytest.skip(why)
    return tmp_path_factory.mktemp("office")


def opened(office: Path, file: Path, separator: str) -> tuple[list[str], list[str]]:
    """The formulas and the texts that LibreOffice sees, when whoever opens the file names this separator."""
    # UTF-8, with all that looks like a number or a formula taken for one:
    # https://help.libreoffice.org/latest/en-US/text/shared/guide/csv_params.html
    how = f"CSV:{ord(separator)},34,76,1,,0,false,true,false,false,false,0,true"
    command = ["soffice", f"-env:UserInstallation={office.as_uri()}", "--headless", f"--infilter={how}"]
    subprocess.run([*command, "--convert-to", "fods", "--outdir", office, file], check=True, capture_output=True)
    cells = list(ET.parse(office / f"{file.stem}.fods").iter(f"{TABLE}table-cell"))
    formulas = [cell.get(f"{TABLE}formula", "") for cell in cells]
    return list(filter(None, formulas)), ["\n".join(p.text or "" for p in cell.iter(f"{TEXT}p")) for cell in cells]


@pytest.mark.soak
@pytest.mark.django_db
@pytest.mark.same_on_both
@pytest.mark.parametrize("written_with", SEPARATORS)
def test_no_cell_of_an_export_is_a_formula_in_libreoffice(written_with, client, ines, office, tmp_path):
    wrote = [before + formula for before in BEFORE for formula in FORMULAS]
    for text in wrote:
        events.record(Verb.SIGNED_IN, by=ines, note=text, at=clock.now())
    client.force_login(ines)
    file = unpacked(client.get(f"/audit/export?separator={written_with}"), tmp_path) / "events.csv"

    seen = {separator: opened(office, file, separator) for separator in SEPARATORS.values()}

    assert not [formulas for formulas, _ in seen.values() if formulas]
    told = [cell for cell in seen[SEPARATORS[written_with]][1] if cell.startswith("Pier")]
    assert len(told) == len([text for text in wrote if text.startswith("Pier")])


@pytest.mark.soak
def test_libreoffice_would_have_seen_a_formula(office, tmp_path):
    (tmp_path / "events.csv").write_text('"a";"=1+1"\n')

    assert opened(office, tmp_path / "events.csv", ";") == (["of:=1+1"], ["a", "2"])
    assert opened(office, tmp_path / "events.csv", ",")[0] == []
