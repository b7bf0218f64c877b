"""Where things are, how large they may be, and what imports what."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP_LEVEL = {
    ".ci", ".gitignore", ".gitattributes", "LICENSE", "README.md", "docs", "medviewer", "plugins", "pyproject.toml",
    "resources", "start.py", "tests", "training",
}  # fmt: skip
PACKAGE_PARTS = {"core", "io", "services", "models", "api", "plugin_host", "render", "gui", "cli"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_MEDIAN_FUNCTION_LINES = 10
LONG_FUNCTIONS: set[str] = set()  # "file.py:function", each with its reason beside it
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}
NETWORK_MODULES = {"socket", "urllib.request", "http.client", "ftplib", "smtplib", "requests", "httpx", "aiohttp"}


def tracked(repository: Path) -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.splitlines() if (repository / name).is_file()]


@pytest.fixture(scope="module")
def sources(repository: Path) -> dict[str, str]:
    """Every Python file of the repository by its path."""
    return {name: (repository / name).read_text() for name in tracked(repository) if name.endswith(".py")}


def functions(name: str, text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield f"{name}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def imported(text: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_top_level_is_the_design(repository: Path) -> None:
    assert {name.split("/")[0] for name in tracked(repository)} <= TOP_LEVEL
    parts = {path.parent.name for path in (repository / "medviewer").glob("*/__init__.py")}
    assert parts == PACKAGE_PARTS


def test_import_contracts(repository: Path) -> None:
    code = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:]


def test_files_are_one_room_each(sources: dict[str, str]) -> None:
    long = {name: text.count("\n") for name, text in sources.items() if text.count("\n") > MAX_FILE_LINES}
    assert long == {}


def test_functions_are_small(sources: dict[str, str]) -> None:
    sizes = dict(item for name, text in sources.items() for item in functions(name, text))
    long = {name: lines for name, lines in sizes.items() if lines > MAX_FUNCTION_LINES and name not in LONG_FUNCTIONS}
    assert long == {}
    shipped = [lines for name, lines in sizes.items() if name.startswith(("medviewer/", "plugins/", "training/"))]
    assert statistics.median(shipped) < MAX_MEDIAN_FUNCTION_LINES


def test_modules_are_named_after_what_they_know(sources: dict[str, str]) -> None:
    bad = [name for name in sources if FORBIDDEN_NAMES & set(Path(name).with_suffix("").parts)]
    assert bad == []


def test_the_program_never_uses_the_network(sources: dict[str, str]) -> None:
    users = {
        name: imported(text) & NETWORK_MODULES
        for name, text in sources.items()
        if name.startswith(("medviewer/", "plugins/", "training/")) and imported(text) & NETWORK_MODULES
    }
    assert set().union(*users.values()) <= {"socket"}
    for name in users:  # a pair of connected sockets between two processes of the program reaches no network
        used = set(re.findall(r"\bsocket\.(\w+)\(", sources[name]))
        assert used <= {"socketpair", "send_fds", "recv_fds", "socket"}, name
        assert set(re.findall(r"\bsocket\.socket\((\w+)", sources[name])) <= {"fileno"}, name


def test_plugins_and_training_import_themselves_relatively(sources: dict[str, str]) -> None:
    """They are `plugins` and `training` in a checkout, but `medviewer.plugins` and `medviewer.training` in a wheel."""
    bad = [
        f"{name}: {module}"
        for name, text in sources.items()
        if name.startswith(("plugins/", "training/"))
        for module in sorted(imported(text))
        if module.split(".")[0] in ("plugins", "training")
    ]
    assert bad == []


def test_only_panels_of_plugins_know_qt(sources: dict[str, str]) -> None:
    for name, text in sources.items():
        if name.startswith("plugins/") and any(module.startswith("PySide6") for module in imported(text)):
            assert "panel" in Path(name).name, name


def test_importing_the_package_is_light(repository: Path) -> None:
    code = (
        "import sys, medviewer, medviewer.api\n"
        "heavy = {'torch', 'vtk', 'vtkmodules', 'PySide6', 'numpy', 'scipy', 'pydicom'}\n"
        "print(sorted(heavy & set(sys.modules)), medviewer.__version__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split()[0] == "[]"


@pytest.mark.parametrize("part", ["core", "io", "services", "cli", "plugin_host"])
def test_no_part_below_the_window_loads_torch_vtk_or_qt(repository: Path, part: str) -> None:
    names = [
        ".".join(path.relative_to(repository).with_suffix("").parts)
        for path in sorted((repository / "medviewer" / part).glob("*.py"))
    ]
    code = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "print({'torch', 'vtk', 'vtkmodules', 'PySide6'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_api_is_about_thirty_documented_names(repository: Path) -> None:
    import medviewer.api as api

    page = (repository / "docs" / "plugins.md").read_text()
    assert [name for name in api.__all__ if f"`{name}`" not in page] == []
    assert 25 <= len(api.__all__) <= 40
    for name in api.__all__:
        value = getattr(api, name)
        assert name == "API_VERSION" or value.__doc__, name
    with pytest.raises(AttributeError):
        _ = api.no_such_name


def test_the_api_names_are_the_same_for_type_checkers(repository: Path) -> None:
    text = (repository / "medviewer" / "api" / "__init__.py").read_text()
    import medviewer.api as api

    typed = {
        alias.asname
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert typed == set(api.__all__) - {"API_VERSION"}


def test_every_manifest_entry_can_be_imported(repository: Path) -> None:
    from medviewer.plugin_host import PluginHost

    plugins = PluginHost([repository / "plugins"])
    for info in plugins.list():
        assert info.error == ""
        assert callable(plugins.logic(info.id).run)
        plugins.parameters_class(info.id)


def test_no_path_of_one_machine_is_in_the_repository(repository: Path) -> None:
    marks = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/"]
    bad = []
    for name in tracked(repository):
        if Path(name).suffix in (".py", ".md", ".toml", ".txt", ".json", "") and name != "tests/services/test_log.py":
            text = (repository / name).read_text(errors="replace")
            bad += [f"{name}: {mark}" for mark in marks if mark in text]
    assert bad == []
