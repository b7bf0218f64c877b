"""What happens to each DICOM element when a file is de-identified (PS3.15 Annex E, Basic Profile).

The table of the standard (E.1-1, edition 2026c) comes from the package dicom-anonymizer. It names elements one by one;
what it does not name is judged here by its value representation, so that free text, names, dates, unknown and private
elements never pass because nobody thought of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_EDITION = "dicomfields_2026c"


class Action(StrEnum):
    """What is done with an element. `ENTER`: the items of a sequence are cleaned one by one."""

    KEEP = "keep"
    REMOVE = "remove"
    EMPTY = "empty"
    DUMMY = "dummy"
    UID = "uid"
    ENTER = "enter"
    SHIFT = "shift"


@dataclass(frozen=True)
class Options:
    """Choices that the profile leaves. Dates are removed unless shifted by the same days for all of a patient."""

    shift_dates: bool = False  # code 113107
    keep_characteristics: bool = False  # code 113108


_DATES = ("DA", "DT", "TM")
_FREE_TEXT = ("LT", "ST", "UT", "UC", "UR", "PN", "AE", "UN")
_BULK = ("OB", "OW", "OD", "OF", "OL", "OV")

# Sequences that the table empties or replaces and that are useful and safe once their items are cleaned.
_ENTERED = (
    "ContentSequence", "GraphicAnnotationSequence", "VerifyingObserverSequence", "WaveformAnnotationSequence",
    "ReferencedImageSequence", "SourceImageSequence",
)  # fmt: skip
_EMPTIED = (
    "AcquisitionContextSequence", "SpecimenPreparationSequence", "VerifyingObserverIdentificationCodeSequence",
    "ReferencedPerformedProcedureStepSequence", "ContentDescription",
)  # fmt: skip
_CHARACTERISTICS = ("PatientSex", "PatientAge", "PatientSize", "PatientWeight")
# Dates that some files must have; elsewhere an empty one is better than a false one.
_DUMMY_DATES = ("ContentDate", "ContentTime", "AcquisitionDateTime", "Date", "Time", "DateTime", "VerificationDateTime",
                "FrameAcquisitionDateTime", "FrameReferenceDateTime", "DecayCorrectionDateTime")  # fmt: skip
# Text, bulk data and codes that are part of the technique and that readers need.
_KEPT = (
    "LongCodeValue", "URNCodeValue", "PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "ICCProfile", "LUTData", "WaveformData", "SpectroscopyData", "VectorGridData",
    "PointCoordinatesData", "VectorCoordinateData", "DoublePointCoordinatesData", "TrianglePointIndexList",
    "EdgePointIndexList", "VertexPointIndexList", "PrimitivePointIndexList", "LongPrimitivePointIndexList",
    "LongTrianglePointIndexList", "LongEdgePointIndexList", "LongVertexPointIndexList", "TrackPointIndexList",
    "FloatingPointValues", "RecommendedDisplayCIELabValueList", "BlendingLookupTableData",
    "FirstOrderPhaseCorrectionAngle", "VerticesOfThePolygonalOutline", "SelectorOFValue", "UValueData", "VValueData",
    "ChannelMinimumValue", "ChannelMaximumValue", "WaveformPaddingValue", "FileMetaInformationVersion",
)  # fmt: skip
_DUMMIES = ("TextValue", "TrackingID")
# Short texts that the table does not name and that people or hospitals fill in.
_REMOVED = (
    "PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar", "StrainSource",
    "StrainStockNumber", "BreedRegistrationNumber", "PatientBreedDescription", "PrivateCreatorReference", "DeviceID",
    "GridID", "NTPSourceAddress", "AcquisitionProtocolName", "ImageID",
    "PlacerOrderNumberProcedure", "FillerOrderNumberProcedure", "PlacerOrderNumberImagingServiceRequestRetired",
    "FillerOrderNumberImagingServiceRequestRetired", "RouteOfAdmissions", "ConfidentialityCode", "OwnerID",
    "ContactDisplayName", "WorklistLabel", "HangingProtocolCreator", "HangingProtocolUserGroupName", "PrinterName",
    "StorageMediaFileSetID", "RadiationMachineName", "ItineraryID", "BoardingPassID", "CarrierID", "RouteID",
    "RTImageName", "RTImageLabel", "FilmSessionLabel", "DataSetSource", "DataSetDescription", "DataSetName",
    "PatientAdditionalPosition", "PatientReliabilityIndicator", "PatientSetupLabel", "SubstanceAdministrationNotes",
    "ReferenceToRecordedSound", "PixelDataProviderURL", "EncryptedAttributesSequence", "DigitalSignaturesSequence",
    "MACParametersSequence", "DataSetTrailingPadding", "IconImageSequence", "OriginalAttributesSequence",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "PrivateDataElementCharacteristicsSequence",
    "ConversionSourceAttributesSequence", "FlowIdentifierSequence", "PersonIdentificationCodeSequence",
    "OperatorIdentificationSequence", "InstitutionCodeSequence", "ReferencedStudySequence",
)  # fmt: skip


class Rules:
    """The action for each element under the chosen options. Built once per run; any thread."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._known: dict[tuple[int, str], Action] = {}

    def action(self, tag: int, vr: str) -> Action:
        """What to do with the element `tag` (32 bits) of value representation `vr`."""
        key = (tag, vr)
        if key not in self._known:
            self._known[key] = self._judge(tag, vr)
        return self._known[key]

    def _judge(self, tag: int, vr: str) -> Action:
        group = tag >> 16
        if group % 2 or tag & 0xFFFF == 0 or group < 0x0008:  # private, lengths, commands and directory records
            return Action.REMOVE
        if group & 0xFF00 in (0x5000, 0x6000):  # curves, overlays
            return Action.REMOVE
        keyword = _keyword(tag)
        if not keyword:  # an element that no dictionary knows
            return Action.REMOVE
        return self._by_option(keyword, vr, group) or self._by_name(keyword) or _by_kind(tag, keyword, vr)

    def _by_option(self, keyword: str, vr: str, group: int) -> Action | None:
        if self.options.keep_characteristics and keyword in _CHARACTERISTICS:
            return Action.KEEP
        if self.options.shift_dates and vr in _DATES and group != 0x0010:
            return Action.SHIFT
        return None

    def _by_name(self, keyword: str) -> Action | None:
        for names, action in (
            (_ENTERED, Action.ENTER), (_EMPTIED, Action.EMPTY), (_REMOVED, Action.REMOVE), (_KEPT, Action.KEEP),
            (_DUMMIES, Action.DUMMY),
        ):  # fmt: skip
            if keyword in names:
                return action
        return None


def _by_kind(tag: int, keyword: str, vr: str) -> Action:
    """By the table of the standard where it names the element, else by its value representation."""
    if vr == "UI":
        return Action.UID
    code = _table().get(tag)
    if code is not None:
        return _of_code(code, keyword, vr)
    if vr == "SQ":
        return Action.ENTER
    if vr in _DATES or vr in _FREE_TEXT or "Comment" in keyword:
        return Action.REMOVE
    if vr in _BULK and "PaletteColorLookupTableData" not in keyword:
        return Action.REMOVE
    return Action.KEEP


def _of_code(code: str, keyword: str, vr: str) -> Action:
    """Action of a code of the table: X remove, Z empty, D dummy; where several are allowed, what keeps files valid."""
    if code == "X" or vr in ("SQ", *_BULK, "UN"):
        return Action.REMOVE
    if code in ("Z", "X_Z"):
        return Action.EMPTY
    if vr in _DATES and keyword not in _DUMMY_DATES:
        return Action.EMPTY
    return Action.DUMMY


@lru_cache(maxsize=1)
def _table() -> dict[int, str]:
    """Tag to code ("X", "Z", "D", "X_Z" ...) of table E.1-1, without the entries for groups of tags."""
    from dicomanonymizer.dicomfields_selector import (  # type: ignore[import-untyped]
        dicom_anonymization_database_selector,
    )

    lists = dicom_anonymization_database_selector(_EDITION)
    return {
        tag[0] << 16 | tag[1]: name.removesuffix("_TAGS")
        for name, tags in lists.items()
        if name != "ALL_TAGS"
        for tag in tags
        if len(tag) == 2
    }


def _keyword(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag)
