"""What every export says of the scan's grid: that it was resampled from irregular slices. Never patient data."""

from __future__ import annotations

from medviewer.core.volume import Volume

NIFTI_DESCRIPTION_BYTES = 79  # and a zero
_RESAMPLED = "; resampled: "


def notes_of(volume: Volume) -> list[str]:
    """Sentences for sidecars, headers and messages; empty for a scan whose slices are a regular grid."""
    regularisation = volume.regularisation
    return [] if regularisation is None else [" ".join(regularisation.sentence.split())]


def short_note(volume: Volume, start: str, bytes_: int) -> bytes:
    """`start` and, as far as `bytes_` allow, why the scan was resampled; ASCII, for headers of fixed length."""
    regularisation = volume.regularisation
    text = start
    if regularisation is not None:
        text += _RESAMPLED + ", ".join(str(reason) for reason in regularisation.reasons)
    return text.encode("ascii", "replace")[:bytes_]


def noted_resampling(description: bytes) -> tuple[str, ...]:
    """What `short_note` said, as a warning for whoever opens the file later; empty where it said nothing."""
    start, mark, _ = description.partition(_RESAMPLED.encode())
    if not (mark and start.startswith(b"medviewer")):
        return ()
    return ("This file was written from irregular slices that were resampled: not every slice was measured.",)
