"""A CT series with 40 planted identifiers, each a word that appears nowhere else, and a scanner that looks for them.

The tokens sit in every kind of place that the standard or a vendor offers. What is planted where is in `TOKENS`; the
series is a real grid (value = its place), so that a program can open, segment and export it.
"""

from __future__ import annotations

import gzip
import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

# Each token with the place that it is planted in. Words have a case of their own, so that hits cannot be chance.
TOKENS: dict[str, str] = {
    "Qzvarnholt": "PatientName, family name",
    "Ulmbrecht": "PatientName, given name",
    "PID7731904X": "PatientID",
    "OTH5520917Y": "OtherPatientIDsSequence, nested",
    "19470923": "PatientBirthDate",
    "Birkwaldgasse": "PatientAddress",
    "00435558123": "PatientTelephoneNumbers",
    "ACC90217K": "AccessionNumber",
    "Dorvenkamp": "ReferringPhysicianName",
    "Hohlbrunnklinik": "InstitutionName",
    "Radnitzplatz": "InstitutionAddress",
    "STNWEST77": "StationName",
    "Opermannix": "OperatorsName",
    "StudyDescZork": "StudyDescription",
    "SeriesDescVlim": "SeriesDescription",
    "ProtoNameWark": "ProtocolName",
    "ImgCommentTrux": "ImageComments",
    "PatCommentBlex": "PatientComments",
    "SER4471DEV": "DeviceSerialNumber",
    "PrivLoGrunz": "private element, text (LO)",
    "PrivUnHexel": "private element, unknown representation (UN)",
    "PrivSqNuzzle": "private sequence, two levels deep",
    "ReqProcSchmund": "RequestAttributesSequence",
    "ReqPhysKlorn": "nested person name, two levels deep",
    "OvlyLabelFump": "overlay label",
    "OvlyDescrQuib": "overlay description",
    "CurveDescMolp": "curve description",
    "PREAMBLEXYV": "128-byte preamble",
    "SRCAETITLEW": "file meta information, source AE title",
    "MetaPrivPlonk": "file meta information, private information",
    "SRTextWumble": "content tree, text value",
    "SRPersonZindel": "content tree, person name",
    "3.77123.991.5": "UIDs of study, series, instance and frame of reference",
    "20190317": "study, series, acquisition and content date",
    "112233.987654": "study, series, acquisition and content time",
    "OrigAttrJabber": "OriginalAttributesSequence",
    "UnStdTagFlern": "standard element written as UN",
    "TrailPadSnurf": "DataSetTrailingPadding",
    "EchoedInKernel": "a repeated patient name in a technical text (ConvolutionKernel)",
    "RetiredTxtGlob": "retired and unknown elements (group 4000, unlisted tag)",
}

# Which tokens an explicitly identified format may hold is a decision of the test that looks at it.
_UID = "1.2.826.0.1.3680043.10.3.77123.991.5"


@dataclass(frozen=True)
class PlantedSeries:
    """Size of the series and how its files are encoded."""

    slices: int = 10
    rows: int = 48
    columns: int = 56
    syntax: str = ExplicitVRLittleEndian
    broken_values: bool = False  # values that their representation does not allow, which libraries like to quote

    def write(self, folder: Path) -> list[Path]:
        """Write the files; their names are harmless."""
        folder.mkdir(parents=True, exist_ok=True)
        return [self._write_one(folder / f"im{k:03d}.dcm", k) for k in range(self.slices)]

    def _write_one(self, path: Path, k: int) -> Path:
        dataset = _image(self, k)
        plant(dataset)
        if self.broken_values:
            _break(dataset)
        pydicom.dcmwrite(path, dataset, enforce_file_format=True, overwrite=True)
        if self.syntax != DeflatedExplicitVRLittleEndian:
            _plant_unparsed(path, self.syntax)
        return path


def _image(series: PlantedSeries, k: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, f"{_UID}.3.{k}"
    meta.TransferSyntaxUID = series.syntax
    meta.ImplementationClassUID = "1.2.826.0.1.3680043.10.1"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"{_UID}.3.{k}"
    dataset.Modality, dataset.Manufacturer, dataset.PatientSex = "CT", "Synthetic Scanner Works", "F"
    dataset.PatientAge, dataset.PatientWeight, dataset.BodyPartExamined = "072Y", "61", "ABDOMEN"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{_UID}.1", f"{_UID}.2"
    dataset.FrameOfReferenceUID = f"{_UID}.4"
    dataset.SeriesNumber, dataset.InstanceNumber = 4, k + 1
    dataset.ImagePositionPatient = [-80.0, -70.0, 5.0 * k]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness, dataset.KVP = [3.0, 3.0], 5.0, "120"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = series.rows, series.columns
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
    dataset.PixelData = _pixels(series, k).tobytes()
    return dataset


def _pixels(series: PlantedSeries, k: int) -> np.ndarray:
    """A soft ellipse in air with a denser ball, so that thresholds find something."""
    j, i = np.mgrid[: series.rows, : series.columns]
    body = ((i - series.columns / 2) / 24) ** 2 + ((j - series.rows / 2) / 20) ** 2 < 1
    ball = (i - series.columns * 0.6) ** 2 + (j - series.rows * 0.5) ** 2 + (3 * (k - series.slices / 2)) ** 2 < 50
    order = ">" if series.syntax == ExplicitVRBigEndian else "<"
    return (np.where(body, 1064, 24) + 120 * ball + (i + j + k) % 3).astype(f"{order}i2")


def plant(dataset: Any) -> None:
    """Put all tokens that pydicom can write into a data set; the rest is added to the bytes of the file."""
    _plant_patient(dataset)
    _plant_study(dataset)
    _plant_private(dataset)
    _plant_nested(dataset)
    _plant_graphics(dataset)
    _plant_meta(dataset)


def _plant_patient(dataset: Any) -> None:
    dataset.PatientName, dataset.PatientID = "Qzvarnholt^Ulmbrecht", "PID7731904X"
    dataset.PatientBirthDate = "19470923"
    dataset.PatientAddress, dataset.PatientTelephoneNumbers = "Birkwaldgasse 12", "00435558123"
    dataset.OtherPatientNames = "Ulmbrecht^Qzvarnholt"
    dataset.OtherPatientIDsSequence = [_item(PatientID="OTH5520917Y", TypeOfPatientID="TEXT")]
    dataset.PatientComments, dataset.ImageComments = "PatCommentBlex", "ImgCommentTrux"


def _plant_study(dataset: Any) -> None:
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "ACC90217K", "Dorvenkamp^Iris"
    dataset.InstitutionName, dataset.InstitutionAddress = "Hohlbrunnklinik", "Radnitzplatz 3"
    dataset.StationName, dataset.OperatorsName = "STNWEST77", "Opermannix^B"
    dataset.StudyDescription, dataset.SeriesDescription = "StudyDescZork", "SeriesDescVlim"
    dataset.ProtocolName, dataset.DeviceSerialNumber = "ProtoNameWark", "SER4471DEV"
    dataset.StudyID = "ACC90217K"
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{name}Date", "20190317")
        setattr(dataset, f"{name}Time", "112233.987654")
    dataset.AcquisitionDateTime = "20190317112233.987654"
    dataset.ConvolutionKernel = ["EchoedInKernel"]
    dataset.OtherPatientIDs = "EchoedInKernel"


def _plant_private(dataset: Any) -> None:
    block = dataset.private_block(0x0019, "ACME SCANNERS 1.0", create=True)
    block.add_new(0x01, "LO", "PrivLoGrunz")
    block.add_new(0x02, "UN", b"PrivUnHexel ")
    inner = Dataset()
    inner_block = inner.private_block(0x0029, "ACME INNER", create=True)
    inner_block.add_new(0x10, "SQ", [_item(PatientComments="PrivSqNuzzle")])
    block.add_new(0x03, "SQ", [inner])


def _plant_nested(dataset: Any) -> None:
    request = _item(ScheduledProcedureStepDescription="ReqProcSchmund", RequestedProcedureID="ReqProcSchmund")
    dataset.RequestAttributesSequence = [request]
    deep = _item(ReasonForRequestedProcedureCodeSequence=[_item(RequestingPhysician="ReqPhysKlorn^A", CodeValue="1")])
    equipment = _item(Manufacturer="Workstation", InstitutionName="Hohlbrunnklinik", OperatorsName="ReqPhysKlorn^A")
    equipment.PurposeOfReferenceCodeSequence = [deep]
    dataset.ContributingEquipmentSequence = [equipment]
    modified = _item(PatientName="OrigAttrJabber^X")
    dataset.OriginalAttributesSequence = [
        _item(ModifiedAttributesSequence=[modified], ModifyingSystem="OrigAttrJabber")
    ]
    reference = _item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=f"{_UID}.3.0")
    dataset.ReferencedImageSequence = [reference]
    text = _item(RelationshipType="CONTAINS", ValueType="TEXT", TextValue="SRTextWumble")
    person = _item(RelationshipType="CONTAINS", ValueType="PNAME", PersonName="SRPersonZindel^C")
    uid = _item(RelationshipType="CONTAINS", ValueType="UIDREF", UID=f"{_UID}.4")
    container = _item(RelationshipType="CONTAINS", ValueType="CONTAINER", ContentSequence=[text, person, uid])
    dataset.ContentSequence = [container]


def _plant_graphics(dataset: Any) -> None:
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x60000011, "US", 8)
    dataset.add_new(0x60000022, "LO", "OvlyDescrQuib")
    dataset.add_new(0x60000040, "CS", "G")
    dataset.add_new(0x60000050, "SS", [1, 1])
    dataset.add_new(0x60000100, "US", 1)
    dataset.add_new(0x60000102, "US", 0)
    dataset.add_new(0x60001500, "LO", "OvlyLabelFump")
    dataset.add_new(0x60003000, "OW", b"\x55" * 8)
    dataset.add_new(0x50000005, "US", 2)
    dataset.add_new(0x50000022, "LO", "CurveDescMolp")
    dataset.add_new(0x50003000, "OW", b"\0" * 8)
    dataset.add_new(0x40004000, "LT", "RetiredTxtGlob")
    dataset.add_new(0xFFFCFFFC, "OB", b"TrailPadSnurf ")


def _plant_meta(dataset: Any) -> None:
    dataset.preamble = b"PREAMBLEXYV".ljust(128, b"\0")
    dataset.file_meta.SourceApplicationEntityTitle = "SRCAETITLEW"
    dataset.file_meta.PrivateInformationCreatorUID = f"{_UID}.9"
    dataset.file_meta.PrivateInformation = b"MetaPrivPlonk "


def _plant_unparsed(path: Path, syntax: str) -> None:
    """Elements that pydicom would not write so: a known one as UN, and one that no dictionary knows."""
    data = path.read_bytes()
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    extra = b""
    for number, text in ((0x1008, b"UnStdTagFlern "), (0xEEEE, b"RetiredTxtGlob")):  # GantryID; not in the standard
        if syntax == ImplicitVRLittleEndian:
            extra += struct.pack("<HHI", 0x0018, number, len(text)) + text
        else:
            extra += struct.pack(order + "HH2sHI", 0x0018, number, b"UN", 0, len(text)) + text
    at = data.index(struct.pack(order + "HH", 0x0020, 0x000D))
    path.write_bytes(data[:at] + extra + data[at:])


def _break(dataset: Any) -> None:
    """Values that their representation forbids; parsers quote them in warnings and errors."""
    for tag, vr in (("PatientAge", b"Qzvarnholt"), ("StudyDate", b"Qzvarnholt"), ("KVP", b"PID7731904X"),
                    ("SeriesNumber", b"Ulmbrecht"), ("WindowCenter", b"PID7731904X")):  # fmt: skip
        number = pydicom.datadict.tag_for_keyword(tag)
        kind = pydicom.datadict.dictionary_VR(number)
        value = vr + b" " * (len(vr) % 2)
        tag_ = pydicom.tag.Tag(number)
        dataset._dict[tag_] = pydicom.dataelem.RawDataElement(tag_, kind, len(value), value, 0, False, True)


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


# -- looking for them ---------------------------------------------------------------------------------------------
@dataclass
class Hits:
    """Which tokens were found in which files (or texts)."""

    places: dict[str, set[str]] = field(default_factory=dict)

    def add(self, token: str, place: str) -> None:
        self.places.setdefault(token, set()).add(place)

    @property
    def tokens(self) -> list[str]:
        return sorted(self.places)

    def __len__(self) -> int:
        return len(self.places)


def scan_tree(folder: Path, hits: Hits | None = None) -> Hits:
    """Look for every token in the bytes and the names of all files of a folder, packed ones unpacked."""
    hits = hits if hits is not None else Hits()
    for path in sorted(folder.rglob("*")):
        scan_bytes(str(path.relative_to(folder)).encode(), f"name of {path.name}", hits)
        if path.is_file() and not path.is_symlink():
            scan_bytes(path.read_bytes(), str(path.relative_to(folder)), hits)
    return hits


def scan_bytes(data: bytes, place: str, hits: Hits | None = None) -> Hits:
    """Look for every token in bytes, as they are and unpacked, in 8-bit and 16-bit letters, whatever their case."""
    hits = hits if hits is not None else Hits()
    for layer in layers(data):
        lower = layer.lower()
        for token in TOKENS:
            plain = token.lower()
            if any(plain.encode(code) in lower for code in ("latin-1", "utf-16-le", "utf-16-be")):
                hits.add(token, place)
    return hits


def layers(data: bytes, depth: int = 3) -> Iterator[bytes]:
    """The bytes and what is packed in them: gzip, zip, zlib streams, a deflated DICOM data set."""
    yield data
    if depth:
        for inner in _unpacked(data):
            yield from layers(inner, depth - 1)


def _unpacked(data: bytes) -> Iterator[bytes]:
    if data[:2] == b"\x1f\x8b":
        yield gzip.decompress(data)
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)
    elif data[128:132] == b"DICM":
        yield from _inflated_dataset(data)
    else:
        yield from _zlib_streams(data)


def _inflated_dataset(data: bytes) -> Iterator[bytes]:
    if DeflatedExplicitVRLittleEndian.encode() in data[:1000]:
        length = struct.unpack_from("<I", data, 140)[0]
        yield zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[144 + length :])


def _zlib_streams(data: bytes) -> Iterator[bytes]:
    """Streams anywhere in the bytes (PNG, journals, own containers)."""
    for head in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b\x08"):
        at = data.find(head)
        while at >= 0:
            try:
                inflater = zlib.decompressobj(47)
                yield inflater.decompress(data[at:], 1 << 28)
            except zlib.error:
                pass
            at = data.find(head, at + 2)


if __name__ == "__main__":
    PlantedSeries().write(Path(sys.argv[1]))
    print(f"{len(TOKENS)} identifiers planted in {sys.argv[1]}")
