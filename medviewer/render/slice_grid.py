"""Where the pixels of a slice lie: voxel axes of a plane, millimetres on the screen, patient directions.

Slices are native: an axial picture is one image of voxels along the voxel axis closest to the patient's feet-head
axis, never an interpolation between images. Screen axes are x to the right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medviewer.core.geometry import Affine, closest_axes
from medviewer.core.volume import Volume

Plane = Literal["axial", "coronal", "sagittal", "native"]
Matrix = NDArray[np.float64]

# Radiological display, LPS: patient axis a plane cuts, the direction to the right and the direction down.
_SCREEN: dict[str, tuple[int, tuple[int, float], tuple[int, float]]] = {
    "axial": (2, (0, 1.0), (1, 1.0)),  # seen from the feet: patient left on the right, posterior down
    "coronal": (1, (0, 1.0), (2, -1.0)),
    "sagittal": (0, (1, 1.0), (2, -1.0)),  # anterior on the left
}
PLANES: tuple[Plane, ...] = ("axial", "coronal", "sagittal")
_SECOND_LETTER = 0.38  # sine of 22 degrees: from here on a direction needs two letters
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}
_DICOM_LETTER = {"H": "S", "F": "I"}


@dataclass(frozen=True, eq=False)
class SliceGrid:
    """The pixel grid of every slice of one plane through one volume.

    A pixel is (u, v): voxel indices along `u_axis` and `v_axis`; integers are pixel centres. `to_plane` (2x2) turns
    index steps (u, v) into mm (pixels if the spacing is unknown) to the right and down on the screen before flips.
    `right` and `down` are unit vectors in LPS, None where the patient direction is unknown.
    """

    plane: str
    slice_axis: int
    u_axis: int
    v_axis: int
    shape: tuple[int, int]
    count: int
    to_plane: Matrix
    in_mm: bool
    right: NDArray[np.float64] | None = None
    down: NDArray[np.float64] | None = None
    letters: tuple[str, str] | None = None  # rising right, rising down, where only letters are known

    def pixel(self, voxel: ArrayLike) -> tuple[float, float]:
        """(u, v) of a voxel index (i, j, k)."""
        ijk = np.asarray(voxel, float)
        return float(ijk[self.u_axis]), float(ijk[self.v_axis])

    def voxel(self, u: float, v: float, index: float) -> NDArray[np.float64]:
        """Continuous voxel index (i, j, k) of pixel (u, v) on slice `index`."""
        ijk = np.zeros(3)
        ijk[[self.u_axis, self.v_axis, self.slice_axis]] = u, v, index
        return ijk

    def extract(self, array: NDArray[np.generic], index: int) -> NDArray[np.generic]:
        """The slice as a view, rows v and columns u (and colour): shape (n_v, n_u) or (n_v, n_u, 3)."""
        picked = np.moveaxis(array, (self.slice_axis, self.v_axis, self.u_axis), (0, 1, 2))
        return picked[index]  # type: ignore[no-any-return]

    def corners(self) -> Matrix:
        """The four outer pixel corners in plane coordinates, (4, 2)."""
        (width, height), low = self.shape, -0.5
        index = [[low, low], [width + low, low], [low, height + low], [width + low, height + low]]
        return np.asarray(index) @ self.to_plane.T


def grid_of(volume: Volume, plane: Plane = "native") -> SliceGrid:
    """The grid of `plane`. "native" is the stored image plane (i, j), shown the radiological way where known.

    Raises ValueError for axial, coronal or sagittal of a volume without a place in space.
    """
    if volume.affine is None:
        if plane != "native" and volume.kind == "volume":
            raise ValueError("a volume without a place in space has no axial, coronal or sagittal plane")
        return _flat_grid(volume)
    order = closest_axes(volume.affine)
    name = native_plane(volume.affine) if plane == "native" or volume.kind != "volume" else plane
    return _patient_grid(volume, volume.affine, order, name)


def has_one_view(volume: Volume) -> bool:
    """Images, cine loops, single slices and scans without a place in space are shown in one view."""
    return volume.kind != "volume" or volume.affine is None or volume.shape[2] == 1


def native_plane(affine: Affine) -> str:
    """The plane that the stored images (i, j) are closest to."""
    cut = closest_axes(affine).index(2)
    return {2: "axial", 1: "coronal", 0: "sagittal"}[cut]


def is_oblique(affine: Affine, degrees: float = 3.0) -> bool:
    """True if the voxel axes leave the patient axes by more than `degrees`."""
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool((np.abs(unit).max(axis=0) < np.cos(np.radians(degrees))).any())


def _patient_grid(volume: Volume, affine: Affine, order: tuple[int, int, int], plane: str) -> SliceGrid:
    cut, (right_axis, right_sign), (down_axis, down_sign) = _SCREEN[plane]
    slice_axis, u_axis, v_axis = order[cut], order[right_axis], order[down_axis]
    across, along = affine[:3, u_axis], affine[:3, v_axis]
    u_sign = 1.0 if across[right_axis] * right_sign >= 0 else -1.0
    v_sign = 1.0 if along[down_axis] * down_sign >= 0 else -1.0
    right = u_sign * across / np.linalg.norm(across)
    down = v_sign * (along - (along @ right) * right)
    down /= np.linalg.norm(down)
    to_plane = np.array([[across @ right, along @ right], [across @ down, along @ down]])
    shape = volume.shape
    return SliceGrid(
        plane, slice_axis, u_axis, v_axis, (shape[u_axis], shape[v_axis]), shape[slice_axis],
        to_plane, True, right, down,
    )  # fmt: skip


def _flat_grid(volume: Volume) -> SliceGrid:
    """Images without a place in the patient keep their own frame: i to the right, j down."""
    spacing = volume.spacing_mm
    known = spacing is not None and spacing[0] > 0 and spacing[1] > 0
    steps = np.diag([spacing[0], spacing[1]] if known and spacing else [1.0, 1.0])
    letters = None
    if volume.patient_orientation is not None:
        rows, columns = volume.patient_orientation
        letters = (_patient_letters(rows), _patient_letters(columns))
    ni, nj, nk = volume.shape
    return SliceGrid("native", 2, 0, 1, (ni, nj), nk, steps, known, letters=letters)


def _patient_letters(code: str) -> str:
    """DICOM PatientOrientation (A P R L H F, one to three letters) in the letters of the views."""
    return "".join(_DICOM_LETTER.get(letter, letter) for letter in code.strip().upper())[:2]


def opposite(letters: str) -> str:
    """The letters of the opposite side."""
    return "".join(_OPPOSITE.get(letter, letter) for letter in letters)


def side_letters(direction: NDArray[np.float64]) -> str:
    """One letter, or two where the direction is oblique ("LP"), of a direction in LPS."""
    unit = direction / np.linalg.norm(direction)
    strongest = np.argsort(-np.abs(unit), kind="stable")
    names = ("LR", "PA", "SI")
    text = names[strongest[0]][0 if unit[strongest[0]] >= 0 else 1]
    if abs(unit[strongest[1]]) >= _SECOND_LETTER:
        text += names[strongest[1]][0 if unit[strongest[1]] >= 0 else 1]
    return text
