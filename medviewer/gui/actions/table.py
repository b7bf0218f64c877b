"""Every action of the window in one table: what it is called, its keys, its picture, when it can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from medviewer.core.scene import Scene

Condition = Callable[[Scene], bool]


def always(scene: Scene) -> bool:
    return True


def scan_open(scene: Scene) -> bool:
    return scene.active is not None


def any_segment(scene: Scene) -> bool:
    return any(scan.segments for scan in scene.scans)


def segment_selected(scene: Scene) -> bool:
    return scene.active is not None and scene.selected_id is not None


def can_undo(scene: Scene) -> bool:
    return scene.undo_stack.undo_title is not None


def can_redo(scene: Scene) -> bool:
    return scene.undo_stack.redo_title is not None


@dataclass(frozen=True)
class ActionInfo:
    """One action. `where` "window" means its keys work everywhere, "view" only while a view has focus,
    "segments" only in the segment list; "find" belongs to the Find panel and is listed for F1 only."""

    key: str
    text: str
    tooltip: str
    icon: str
    keys: tuple[str, ...] = ()
    enabled: Condition = always
    group: str = ""  # heading on the F1 page
    where: Literal["window", "view", "segments", "find"] = "window"
    tool: bool = False  # one of the exclusive tools


ACTIONS: tuple[ActionInfo, ...] = (
    ActionInfo("open_files", "Open file…", "Open a scan from a file", "file", ("Ctrl+O",), group="Files"),
    ActionInfo(
        "open_folder", "Open folder…", "Open a folder, for instance a DICOM study", "folder", ("Ctrl+Shift+O",),
        group="Files",
    ),
    ActionInfo("open_sample", "Try the sample", "Open a generated torso phantom", "scan", group="Files"),
    ActionInfo(
        "open_mask", "Open segments…", "Read segments from NIfTI, seg.nrrd or DICOM SEG", "layout_single",
        (), scan_open, "Files",
    ),
    ActionInfo("save_session", "Save session…", "Save all open scans' segments and views as one file", "file",
               ("Ctrl+S",), scan_open, "Files"),
    ActionInfo("save_session_as", "Save session as…", "Save the session under another name", "file",
               ("Ctrl+Shift+S",), scan_open, "Files"),
    ActionInfo("export", "Export…", "Save segments or a picture of the views", "export", ("Ctrl+E",), scan_open,
               "Files"),
    ActionInfo("export_training_set", "Export as training set…", "Add the segments of open scans to a set to train on",
               "export", (), any_segment, "Files"),
    ActionInfo("describe", "What this scan is…", "State the modality or the patient's side where the file does not",
               "info", (), scan_open, "Files"),
    ActionInfo("deidentify", "De-identify…", "Copy DICOM files without names, numbers and dates", "eye_off",
               group="Files"),
    ActionInfo("close_scan", "Close scan", "Close the scan that is shown", "close", ("Ctrl+W",), scan_open, "Files"),
    ActionInfo("choose_model", "Model…", "Choose the model that answers, read its card and its licence", "info",
               group="Files"),
    ActionInfo("clear_model_cache", "Clear the model cache", "Remove what the model keeps on the disk about scans",
               "delete", group="Files"),
    ActionInfo("quit", "Quit", "Close the program", "close", ("Ctrl+Q",), group="Files"),
    ActionInfo("navigate", "Navigate", "Point at a place: all views follow", "navigate", ("N",), scan_open, "Tools",
               "view", True),
    ActionInfo("window_level", "Window", "Drag to change window and level", "window", ("W",), scan_open, "Tools",
               "view", True),
    ActionInfo("click_plus", "Click +", "Click what belongs to the structure", "click_plus", ("A",), scan_open, "Tools",
               "view", True),
    ActionInfo("click_minus", "Click −", "Click what does not belong to it", "click_minus", ("S",), scan_open, "Tools",
               "view", True),
    ActionInfo("box", "Box", "Drag a box around the structure", "box", ("B",), scan_open, "Tools", "view", True),
    ActionInfo("undo", "Undo", "Take back the last change", "undo", ("Ctrl+Z",), can_undo, "Edit"),
    ActionInfo("redo", "Redo", "Do the change again", "redo", ("Ctrl+Shift+Z", "Ctrl+Y"), can_redo, "Edit"),
    ActionInfo("theme", "Theme", "Switch between the dark and the light theme", "theme_light", ("Ctrl+T",),
               group="Window"),
    ActionInfo("help", "Help", "Keys and mouse", "help", ("F1",), group="Window"),
    ActionInfo("find", "Find", "Put the cursor in the prompt line", "search", ("Ctrl+F",), scan_open, "Find"),
    ActionInfo("focus_views", "Views", "Put the keyboard in the views", "layout", ("Ctrl+1",), scan_open, "Window"),
    ActionInfo("run", "Run the prompt", "Search for what is typed", "search", ("Return",), scan_open, "Find", "find"),
    ActionInfo("accept", "Accept the preview", "Keep the previewed mask as a segment", "check", ("Ctrl+Return",),
               scan_open, "Find", "find"),
    ActionInfo("discard", "Discard the preview", "Drop the previewed mask", "close", ("Esc",), scan_open, "Find",
               "find"),
    ActionInfo("rename", "Rename…", "Give the segment another name", "file", ("F2",), segment_selected, "Segments",
               "segments"),
    ActionInfo("recolor", "Colour…", "Choose the segment's colour", "preset", ("C",), segment_selected, "Segments",
               "segments"),
    ActionInfo("toggle_segment", "Show or hide", "Show or hide the segment", "eye", ("Space",), segment_selected,
               "Segments", "segments"),
    ActionInfo("jump_to", "Jump to", "Put the views on the middle of the segment", "navigate", ("Return",),
               segment_selected, "Segments", "segments"),
    ActionInfo("delete_segment", "Delete", "Delete the segment", "delete", ("Del",), segment_selected, "Segments",
               "segments"),
)  # fmt: skip


def find(key: str) -> ActionInfo:
    """Raises KeyError for an unknown action."""
    for info in ACTIONS:
        if info.key == key:
            return info
    raise KeyError(key)
