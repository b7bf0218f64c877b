"""The VTK objects of the 3D view. One thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingVolumeOpenGL2 as volume_gl
from PIL import Image
from vtkmodules import vtkRenderingOpenGL2 as opengl
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints, vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkImageData, vtkPiecewiseFunction, vtkPolyData
from vtkmodules.vtkCommonMath import vtkMatrix4x4
from vtkmodules.vtkRenderingAnnotation import vtkAnnotatedCubeActor
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkColorTransferFunction,
    vtkLight,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkVolume,
)
from vtkmodules.vtkRenderingVolume import vtkFixedPointVolumeRayCastMapper

from medviewer.core.geometry import spacing_of
from medviewer.core.segmentation import Color
from medviewer.render.coarse import CoarseVolume, Surface
from medviewer.render.raster import Bytes
from medviewer.render.volume_looks import VolumeLook

assert vtkmodules.vtkRenderingFreeType  # imported for its factories

_BACKGROUND = (15 / 255, 19 / 255, 23 / 255)
_MARKER = (1.0, 212 / 255, 121 / 255)
_MOVING_SHARE = 0.45  # of width and height while moving, where no graphics card draws
_VIEW_ANGLE = 18.0
_TILES = 3  # a still picture is drawn in 3 x 3 parts, so that nobody waits for the whole
_SEAM = 3  # pixels drawn around a part and cut off: the ray caster leaves its last row and column empty
_MARKER_SIDE = 56


class Stage:
    """One off-screen window with the scan, the surfaces and an orientation cube."""

    def __init__(self, window_class: str, accelerated: bool) -> None:
        self._accelerated = accelerated
        self._window: Any = (getattr(opengl, window_class, None) or vtkRenderWindow)()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._renderer = _main_renderer()
        self._window.AddRenderer(self._renderer)
        self._marker = _marker_renderer()
        self._window.AddRenderer(self._marker)
        self.sides_known = True  # whether the cube may show the patient's sides
        self._volume: Any = None
        self._array: Any = None  # VTK reads it without a copy
        self._surfaces: dict[str, tuple[Surface, Any]] = {}

    # -- content ---------------------------------------------------------------
    def set_volume(self, coarse: CoarseVolume) -> None:
        """Replace the scan."""
        self._remove_volume()
        spacing = spacing_of(coarse.affine)
        image = vtkImageData()
        image.SetDimensions(*coarse.array.shape)
        image.SetSpacing(*spacing)
        self._array = _renderable(coarse.array)
        image.GetPointData().SetScalars(numpy_to_vtk(self._array.ravel(order="F"), deep=False))
        mapper = volume_gl.vtkOpenGLGPUVolumeRayCastMapper() if self._accelerated else _software_mapper(spacing)
        mapper.SetInputData(image)
        self._volume = vtkVolume()
        self._volume.SetMapper(mapper)
        self._volume.SetUserMatrix(_matrix(coarse.affine @ np.diag([1 / s for s in spacing] + [1.0])))
        self._renderer.AddVolume(self._volume)

    def set_look(self, look: VolumeLook) -> None:
        """Colours, opacities and shading."""
        if self._volume is None:
            return
        colors, opacities = vtkColorTransferFunction(), vtkPiecewiseFunction()
        for value, red, green, blue, opacity in look.stops:
            colors.AddRGBPoint(value, red, green, blue)
            opacities.AddPoint(value, opacity)
        shown = self._volume.GetProperty()
        shown.SetColor(colors)
        shown.SetScalarOpacity(opacities)
        shown.SetScalarOpacityUnitDistance(1.6)
        shown.SetInterpolationTypeToLinear()
        shown.ShadeOn()
        shown.SetAmbient(0.4)
        shown.SetDiffuse(1.2)
        shown.SetSpecular(0.15)
        shown.SetSpecularPower(12)

    def set_surfaces(self, surfaces: Mapping[str, tuple[Surface, Color, float]]) -> None:
        """Replace the surfaces; those that stay the same object keep their VTK data."""
        for name in [n for n in self._surfaces if n not in surfaces or surfaces[n][0] is not self._surfaces[n][0]]:
            self._renderer.RemoveActor(self._surfaces.pop(name)[1])
        for name, (surface, color, opacity) in surfaces.items():
            if name not in self._surfaces:
                self._surfaces[name] = surface, _actor_of(surface)
                self._renderer.AddActor(self._surfaces[name][1])
            _paint(self._surfaces[name][1], color, opacity)

    @property
    def has_surfaces(self) -> bool:
        return bool(self._surfaces)

    def clear(self) -> None:
        """Remove scan and surfaces."""
        self._remove_volume()
        self.set_surfaces({})

    def _remove_volume(self) -> None:
        if self._volume is not None:
            self._renderer.RemoveVolume(self._volume)
            self._volume.GetMapper().ReleaseGraphicsResources(self._window)
            self._volume, self._array = None, None

    # -- camera ---------------------------------------------------------------
    def reset(self, size: tuple[int, int]) -> None:
        """From the front, head up, everything in sight."""
        self._window.SetSize(*size)
        camera = self._renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(0, -1, 0)
        camera.SetViewUp(0, 0, 1)
        camera.SetViewAngle(_VIEW_ANGLE)
        self._renderer.ResetCamera()
        camera.Dolly(1.3)
        self._renderer.ResetCameraClippingRange()

    def rotate(self, dx: float, dy: float) -> None:
        camera = self._renderer.GetActiveCamera()
        camera.Azimuth(-dx)
        camera.Elevation(dy)
        camera.OrthogonalizeViewUp()
        self._renderer.ResetCameraClippingRange()

    def zoom(self, factor: float) -> None:
        self._renderer.GetActiveCamera().Dolly(factor)
        self._renderer.ResetCameraClippingRange()

    def pan(self, dx: float, dy: float, size: tuple[int, int]) -> None:
        camera = self._renderer.GetActiveCamera()
        height = 2 * camera.GetDistance() * np.tan(np.radians(camera.GetViewAngle() / 2))
        step = height / size[1]
        up, normal = np.array(camera.GetViewUp()), np.array(camera.GetViewPlaneNormal())
        shift = step * (dy * up - dx * np.cross(up, normal))
        camera.SetPosition(*(np.array(camera.GetPosition()) + shift))
        camera.SetFocalPoint(*(np.array(camera.GetFocalPoint()) + shift))
        self._renderer.ResetCameraClippingRange()

    # -- pixels ---------------------------------------------------------------
    def render(self, size: tuple[int, int], moving: bool) -> Bytes:
        """B, G, R, A (height, width, 4)."""
        share = _MOVING_SHARE if moving and not self._accelerated else 1.0
        picture = self._draw(max(round(size[0] * share), 16), max(round(size[1] * share), 16))
        if share < 1.0:
            picture = np.asarray(Image.fromarray(picture, "RGBA").resize(size, Image.Resampling.BILINEAR))
        return self._with_marker(picture)

    def render_parts(self, size: tuple[int, int]) -> Iterator[Bytes | None]:
        """The same still picture in small steps: None until the last gives it. The camera may not move meanwhile."""
        parts = 1 if self._accelerated else _TILES
        width, height = -(-size[0] // parts), -(-size[1] // parts)
        whole = np.zeros((height * parts, width * parts, 4), np.uint8)
        for row in range(parts):
            for column in range(parts):
                tile = self._draw_tile((width, height), size[1], parts, column, parts - 1 - row)
                whole[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
                yield None
        left, top = (width * parts - size[0]) // 2, (height * parts - size[1]) // 2
        yield self._with_marker(whole[top : top + size[1], left : left + size[0]])

    def _draw(self, width: int, height: int) -> Bytes:
        self._window.SetSize(width, height)
        self._window.Render()
        return self._read()

    def _draw_tile(self, tile: tuple[int, int], height: int, parts: int, column: int, row: int) -> Bytes:
        """Part of the picture; columns from the left, rows from below."""
        camera = self._renderer.GetActiveCamera()
        angle = camera.GetViewAngle()
        wide, high = tile[0] + 2 * _SEAM, tile[1] + 2 * _SEAM
        half = np.tan(np.radians(angle / 2)) * high / height
        across = (2 * column + 1 - parts) * tile[0] / wide
        up = (2 * row + 1 - parts) * tile[1] / high
        try:
            camera.SetViewAngle(float(np.degrees(2 * np.arctan(half))))
            camera.SetWindowCenter(across, up)
            return self._draw(wide, high)[_SEAM:-_SEAM, _SEAM:-_SEAM]
        finally:
            camera.SetViewAngle(angle)
            camera.SetWindowCenter(0, 0)

    def _with_marker(self, picture: Bytes) -> Bytes:
        """The cube with the patient's sides, where they are known, in the lower right corner; B, G, R, A."""
        if not self.sides_known:
            return np.array(picture)[..., [2, 1, 0, 3]]
        side = min(_MARKER_SIDE, picture.shape[0] // 3, picture.shape[1] // 3)
        ours, theirs = self._marker.GetActiveCamera(), self._renderer.GetActiveCamera()
        ours.SetFocalPoint(0, 0, 0)
        ours.SetPosition(*theirs.GetViewPlaneNormal())
        ours.SetViewUp(*theirs.GetViewUp())
        self._marker.ResetCamera()
        self._renderer.DrawOff()
        self._marker.DrawOn()
        cube = self._draw(side, side)
        self._renderer.DrawOn()
        self._marker.DrawOff()
        picture = np.array(picture)
        picture[-side - 4 : -4, -side - 4 : -4] = cube
        return picture[..., [2, 1, 0, 3]]

    def _read(self) -> Bytes:
        width, height = self._window.GetSize()
        pixels = vtkUnsignedCharArray()
        self._window.GetRGBACharPixelData(0, 0, width - 1, height - 1, 0, pixels)
        picture = vtk_to_numpy(pixels).reshape(height, width, 4)[::-1].copy()
        picture[..., 3] = 255
        return np.asarray(picture)

    def close(self) -> None:
        """Free everything; the stage cannot be used afterwards."""
        self.clear()
        self._marker.RemoveAllViewProps()
        self._window.RemoveRenderer(self._marker)
        self._window.RemoveRenderer(self._renderer)
        self._window.Finalize()


def _renderable(array: Any) -> Any:
    """A type the ray caster takes."""
    if array.dtype.kind in "iu" and array.dtype.itemsize <= 2:
        return np.asarray(array, array.dtype.newbyteorder("="), order="F")
    values = np.array(array, np.float32, order="F")
    known = np.isfinite(values)
    values[~known] = values[known].min() if known.any() else 0.0
    return values


def _software_mapper(spacing: tuple[float, float, float]) -> Any:
    mapper = vtkFixedPointVolumeRayCastMapper()
    mapper.SetAutoAdjustSampleDistances(0)
    mapper.SetImageSampleDistance(1.0)
    mapper.SetSampleDistance(0.4 * float(np.mean(spacing)))
    mapper.SetInteractiveSampleDistance(float(np.mean(spacing)))
    return mapper


def _main_renderer() -> Any:
    renderer = vtkRenderer()
    renderer.SetBackground(*_BACKGROUND)
    renderer.SetUseFXAA(True)
    renderer.AutomaticLightCreationOff()
    light = vtkLight()
    light.SetLightTypeToHeadlight()
    renderer.AddLight(light)
    return renderer


def _marker_renderer() -> Any:
    """A cube with the letters of the patient's sides in the lower right corner."""
    cube = vtkAnnotatedCubeActor()
    for axis, plus, minus in (("X", "L", "R"), ("Y", "P", "A"), ("Z", "S", "I")):
        getattr(cube, f"Set{axis}PlusFaceText")(plus)
        getattr(cube, f"Set{axis}MinusFaceText")(minus)
        for sign in ("Plus", "Minus"):
            getattr(cube, f"Get{axis}{sign}FaceProperty")().SetColor(*_MARKER)
    cube.SetXFaceTextRotation(0)
    cube.SetYFaceTextRotation(0)
    cube.SetZFaceTextRotation(-90)
    cube.SetFaceTextScale(0.6)
    cube.GetCubeProperty().SetColor(0.16, 0.19, 0.23)
    cube.GetTextEdgesProperty().SetOpacity(0.0)
    renderer = vtkRenderer()
    renderer.SetBackground(*_BACKGROUND)
    renderer.SetUseFXAA(True)
    renderer.DrawOff()
    renderer.AddActor(cube)
    return renderer


def _actor_of(surface: Surface) -> Any:
    points = vtkPoints()
    points.SetData(numpy_to_vtk(surface.points, deep=True))
    starts = np.arange(0, surface.triangles.size + 1, 3, dtype=np.int64)
    corners = np.ascontiguousarray(surface.triangles, np.int64).ravel()
    triangles = vtkCellArray()
    triangles.SetData(numpy_to_vtkIdTypeArray(starts, deep=True), numpy_to_vtkIdTypeArray(corners, deep=True))
    data = vtkPolyData()
    data.SetPoints(points)
    data.SetPolys(triangles)
    data.GetPointData().SetNormals(numpy_to_vtk(surface.normals, deep=True))
    mapper = vtkPolyDataMapper()
    mapper.SetInputData(data)
    mapper.ScalarVisibilityOff()
    actor = vtkActor()
    actor.SetMapper(mapper)
    return actor


def _paint(actor: Any, color: Color, opacity: float) -> None:
    shown = actor.GetProperty()
    shown.SetColor(*(c / 255 for c in color))
    shown.SetOpacity(max(opacity, 0.02))
    shown.SetAmbient(0.2)
    shown.SetDiffuse(0.8)
    shown.SetSpecular(0.15)
    shown.SetSpecularPower(20)


def _matrix(values: Any) -> Any:
    matrix = vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(values[row, column]))
    return matrix
