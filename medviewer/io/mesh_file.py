"""Surfaces of masks as STL or PLY, in LPS mm, watertight, with the volume of the voxels they enclose."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medviewer.core.errors import OutputNotWritten
from medviewer.core.geometry import Affine, lps_to_voxel
from medviewer.core.progress import Progress
from medviewer.core.segmentation import Color, Segment
from medviewer.core.volume import Volume
from medviewer.io.export_notes import licence_notes, notes_of
from medviewer.io.surface import Surface, surface_of

STL_HEADER = b"medviewer SPACE=LPS UNIT=mm; research use only, not verified by a clinician"
STL_HEADER_RESAMPLED = b"medviewer SPACE=LPS UNIT=mm; research use only, not verified; resampled scan"
VOLUME_TOLERANCE = 0.02
_COORDINATE_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class ReadMesh:
    """Triangles of a mesh file: corners (n, 3, 3) in LPS mm."""

    triangles: NDArray[np.float64]

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume by the divergence theorem; negative where normals point inwards."""
        return float(self._parts[0].sum()) if len(self.triangles) else 0.0

    @property
    def centroid(self) -> NDArray[np.float64]:
        """Centre of the enclosed volume in LPS mm."""
        volumes, centres = self._parts
        return np.asarray((volumes[:, None] * centres).sum(axis=0) / volumes.sum())

    @property
    def _parts(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Signed volume and centre of the tetrahedron between each triangle and the middle of all corners."""
        middle = self.triangles.reshape(-1, 3).mean(axis=0)
        a, b, c = (self.triangles[:, corner] - middle for corner in range(3))
        return np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0, middle + (a + b + c) / 4.0

    @property
    def watertight(self) -> bool:
        """Whether every edge belongs to two triangles that run along it in opposite directions."""
        if not len(self.triangles):
            return True
        _, index = np.unique(_point_keys(self.triangles.reshape(-1, 3)), return_inverse=True)
        faces = index.reshape(-1, 3)
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
        edges = edges[edges[:, 0] != edges[:, 1]]
        count = int(index.max()) + 1
        forward, backward = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
        return bool(np.array_equal(np.sort(forward), np.sort(backward)))


def _point_keys(points: NDArray[np.float64]) -> NDArray[np.uint64]:
    """A number per point, equal for equal points: sorting numbers is ten times faster than sorting rows."""
    bits = (points + 0.0).view(np.uint64)  # + 0.0 makes -0.0 and 0.0 one
    factors = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)
    mixed = (bits ^ (bits >> np.uint64(29))) * factors
    keys: NDArray[np.uint64] = (mixed[:, 0] ^ (mixed[:, 1] >> np.uint64(7))) + mixed[:, 2]
    return keys


def write(path: Path, volume: Volume, segments: Sequence[Segment], progress: Progress) -> None:
    """Write the surfaces of all segments into one .stl or .ply; an empty mask has no triangles."""
    write_surfaces(path, make_surfaces(volume, segments, progress), segments, notes_of(volume))


def make_surfaces(volume: Volume, segments: Sequence[Segment], progress: Progress) -> list[Surface]:
    """The surface of every segment, in LPS mm."""
    affine = _affine_of(volume)
    surfaces = []
    for number, segment in enumerate(segments):
        progress.report(number / max(len(segments), 1), "Making surfaces")
        surfaces.append(surface_of(segment.mask, affine))
    return surfaces


def write_surfaces(
    path: Path, surfaces: Sequence[Surface], segments: Sequence[Segment], notes: Sequence[str] = ()
) -> None:
    """Write surfaces, one per segment, into one .stl or .ply. `notes` (ASCII is kept) go into the header's comments.

    A PLY also names the models and their terms there; a STL header is too short for it.
    """
    if path.suffix.lower() == ".ply":
        _write_ply(path, surfaces, [segment.color for segment in segments], [*notes, *licence_notes(segments)])
    else:
        _write_stl(path, surfaces, STL_HEADER_RESAMPLED if notes else STL_HEADER)


def verify(path: Path, volume: Volume, segments: Sequence[Segment]) -> None:
    """Re-read the raw bytes: watertight, volume within 2 % of the voxels', in place. Raises OutputNotWritten."""
    affine = _affine_of(volume)
    mesh = read_mesh(path)
    voxel = float(abs(np.linalg.det(affine[:3, :3])))
    expected = voxel * sum(int(np.count_nonzero(segment.mask)) for segment in segments)
    if not mesh.watertight:
        raise _differs(path, "the surface is not closed")
    if abs(mesh.volume_mm3 - expected) > VOLUME_TOLERANCE * expected:
        raise _differs(path, f"the surface holds {mesh.volume_mm3:.0f} mm³, the mask {expected:.0f} mm³")
    if expected and not _in_place(mesh, segments, affine):
        raise _differs(path, "the surface lies at another place than the mask")


def read_mesh(path: Path) -> ReadMesh:
    """Triangles of a binary STL or a PLY as written here."""
    return ReadMesh(_read_ply(path) if path.suffix.lower() == ".ply" else _read_stl(path))


def _affine_of(volume: Volume) -> Affine:
    if volume.affine is None:
        raise OutputNotWritten("A surface needs the position of the image.", "Save the mask as .png instead.")
    return volume.affine


def _in_place(mesh: ReadMesh, segments: Sequence[Segment], affine: Affine) -> bool:
    """The centre of the enclosed volume and the mean position of the mask's voxels agree to half a voxel."""
    places = [_mean_index(segment.mask) for segment in segments if segment.mask.any()]
    expected = np.average([place for place, _ in places], axis=0, weights=[count for _, count in places])
    return bool(np.abs(lps_to_voxel(affine, mesh.centroid) - expected).max() < 0.5)


def _mean_index(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
    """Mean (i, j, k) of a mask's voxels and their number, from the counts along each axis."""
    counts = [mask.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    number = int(counts[0].sum())
    return np.array([float(np.arange(len(c)) @ c) / number for c in counts]), number


def _write_stl(path: Path, surfaces: Sequence[Surface], header: bytes) -> None:
    corners = [surface.vertices[surface.faces].astype("<f4") for surface in surfaces]
    records = np.zeros(sum(len(part) for part in corners), _STL_RECORD)
    if corners:
        records["corners"] = np.concatenate(corners) if len(records) else 0
    a, b, c = (records["corners"][:, n].astype(np.float64) for n in range(3))
    normals = np.cross(b - a, c - a)
    records["normal"] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    with open(path, "wb") as file:
        file.write(header.ljust(80)[:80] + struct.pack("<I", len(records)))
        file.write(records.tobytes())


_STL_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_PLY_VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
_PLY_FACE = np.dtype([("count", "u1"), ("index", "<i4", 3)])


def _read_stl(path: Path) -> NDArray[np.float64]:
    data = path.read_bytes()
    count = struct.unpack("<I", data[80:84])[0] if len(data) >= 84 else -1
    if len(data) != 84 + count * _STL_RECORD.itemsize:
        raise _differs(path, "the file is cut short")
    return np.frombuffer(data, _STL_RECORD, offset=84)["corners"].astype(np.float64)


def _write_ply(path: Path, surfaces: Sequence[Surface], colors: Sequence[Color], notes: Sequence[str]) -> None:
    vertices = np.zeros(sum(len(s.vertices) for s in surfaces), _PLY_VERTEX)
    faces = np.zeros(sum(len(s.faces) for s in surfaces), _PLY_FACE)
    at_vertex = at_face = 0
    for surface, color in zip(surfaces, colors, strict=True):
        end_vertex, end_face = at_vertex + len(surface.vertices), at_face + len(surface.faces)
        vertices["xyz"][at_vertex:end_vertex] = surface.vertices
        vertices["rgb"][at_vertex:end_vertex] = color
        faces["index"][at_face:end_face] = surface.faces + at_vertex
        at_vertex, at_face = end_vertex, end_face
    faces["count"] = 3
    with open(path, "wb") as file:
        file.write(_ply_header(len(vertices), len(faces), notes).encode("ascii", "replace"))
        file.write(vertices.tobytes() + faces.tobytes())


def _ply_header(vertices: int, faces: int, notes: Sequence[str]) -> str:
    comments = "".join(f"comment {' '.join(note.split())}\n" for note in notes)
    properties = "".join(f"property float {axis}\n" for axis in "xyz")
    properties += "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))
    return (
        "ply\nformat binary_little_endian 1.0\ncomment medviewer SPACE=LPS UNIT=mm\n"
        f"comment research use only, not verified by a clinician\n{comments}"
        f"element vertex {vertices}\n{properties}element face {faces}\n"
        "property list uchar int vertex_indices\nend_header\n"
    )


def _read_ply(path: Path) -> NDArray[np.float64]:
    data = path.read_bytes()
    end = data.index(b"end_header\n") + len(b"end_header\n")
    counts = [int(line.split()[-1]) for line in data[:end].decode("ascii").splitlines() if line.startswith("element")]
    if len(data) != end + counts[0] * _PLY_VERTEX.itemsize + counts[1] * _PLY_FACE.itemsize:
        raise _differs(path, "the file is cut short")
    vertices = np.frombuffer(data, _PLY_VERTEX, counts[0], end)["xyz"].astype(np.float64)
    faces = np.frombuffer(data, _PLY_FACE, counts[1], end + counts[0] * _PLY_VERTEX.itemsize)["index"]
    return vertices[faces] if len(faces) else np.zeros((0, 3, 3))


def _differs(path: Path, what: str) -> OutputNotWritten:
    return OutputNotWritten(
        f"{path.name} was not written: {what}.",
        "Save the mask as .seg.nrrd or .nii.gz; the old file, if there was one, is unchanged.",
    )
