"""A PACS takes the SR and the PDF of a report into the study of the scan, and gives them back as they were sent."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from orthanc_server import orthanc
from report_dicom_kit import report_on, scan_in, segments, signed, term_map, with_pictures, words_of

from medviewer.io import report_encapsulated, report_sr
from medviewer.services.save_data import save_segments

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_pacs_files_report_and_masks_under_the_study_of_the_scan(tmp_path: Path) -> None:
    scan = scan_in(tmp_path)
    report, words = signed(with_pictures(report_on(scan), scan), "preliminary", "final").report, words_of("en")
    save_segments(tmp_path / "masks.dcm", scan, segments())
    seg, sr, pdf = (tmp_path / f"{name}.dcm" for name in ("masks", "sr", "pdf"))
    report_sr.write(sr, report, words, scan, terms=term_map(), segmentation=seg)
    report_encapsulated.write(pdf, report, words, scan)
    (tmp_path / "server").mkdir()
    with orthanc(tmp_path / "server") as server:
        server.store([*scan.source.files, seg, sr, pdf])
        studies = server.find("Study", PatientID="S1")
        assert len(studies) == 1
        assert len(studies[0]["Series"]) == 4
        for path in (sr, pdf):
            sent = pydicom.dcmread(path)
            found = server.find("Instance", SOPInstanceUID=str(sent.SOPInstanceUID))
            returned = pydicom.dcmread(io.BytesIO(server.get(f"/instances/{found[0]['ID']}/file")))
            assert returned.keys() == sent.keys()
            assert all(returned[element.tag] == element for element in sent)
