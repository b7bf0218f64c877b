"""One case through everything: written by the program's own service, then judged by the tools of others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import seg_tools
from orthanc_server import Orthanc
from seg_cases import Case

from medviewer.core.segmentation import Segment
from medviewer.core.volume import Volume
from medviewer.services.save_data import SavedReport, save_segments


@dataclass(frozen=True, eq=False)
class Written:
    """A case as files."""

    case: Case
    seg: Path
    sources: tuple[Path, ...]
    scan: Volume
    segments: list[Segment]
    report: SavedReport

    def foreign(self, folder: Path) -> dict[str, seg_tools.Compared]:
        """What each reader gives back."""
        found = {
            "highdicom": seg_tools.highdicom(self.seg, self.scan, self.segments),
            "medviewer": seg_tools.ours(self.seg, self.scan, self.segments),
        }
        if not self.case.flat:  # dcmqi wants a place in the patient
            found["dcmqi"] = seg_tools.dcmqi(self.seg, self.scan, self.segments, folder)
        return found


def write(case: Case, folder: Path) -> Written:
    """Make the scan, draw the masks, save them as a user does."""
    (folder / "scan").mkdir()
    scan = case.scan(folder / "scan")
    segments = case.masks(scan)
    report = save_segments(folder / "masks.dcm", scan, segments)
    copy = folder / "masks_source"
    sources = tuple(sorted(copy.glob("*.dcm"))) if copy.is_dir() else tuple(dict.fromkeys(scan.source.files))
    return Written(case, folder / "masks.dcm", sources, scan, segments, report)


def through_orthanc(written: Written, server: Orthanc) -> dict[str, bool]:
    """Store source and SEG by C-STORE, find the SEG under the source's study and patient, fetch it and compare."""
    server.store([*written.sources, written.seg])
    sent = pydicom.dcmread(written.seg)
    source = pydicom.dcmread(written.sources[0], stop_before_pixels=True)
    found = server.find("Instance", SOPInstanceUID=str(sent.SOPInstanceUID))
    studies = server.find("Study", StudyInstanceUID=str(source.StudyInstanceUID))
    return {
        "found once": len(found) == 1,
        "in the source's study": len(studies) == 1 and _has(server, studies, sent, source),
        "of the source's patient": len(studies) == 1 and _patient(studies[0]) == str(source.PatientID).strip(),
        "returned as sent": len(found) == 1 and _returned(server, found[0]["ID"], sent),
    }


def _has(server: Orthanc, studies: list[dict[str, Any]], sent: Any, source: Any) -> bool:
    series = {server.find("Series", SeriesInstanceUID=str(one.SeriesInstanceUID))[0]["ID"] for one in (sent, source)}
    return series <= set(studies[0]["Series"])


def _patient(study: dict[str, Any]) -> str:
    return str(study["PatientMainDicomTags"].get("PatientID", "")).strip()


def _returned(server: Orthanc, instance: str, sent: Any) -> bool:
    """Element by element, sequences and pixels included; the file's own header belongs to whoever wrote it."""
    returned = pydicom.dcmread(_bytes(server.get(f"/instances/{instance}/file")))
    return returned.keys() == sent.keys() and all(returned[element.tag] == element for element in sent)


def _bytes(data: bytes) -> Any:
    from io import BytesIO

    return BytesIO(data)


