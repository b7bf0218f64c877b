"""How much memory may be taken now, and whether a scan fits, before it is loaded."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Bytes that this process can take now: free memory of the machine, of its container (cgroup), and what its own
    limit (RLIMIT_AS, `ulimit -v`) leaves. Swap is not counted."""
    import psutil

    free = [int(psutil.virtual_memory().available), *_container_memory(), *_own_limit()]
    return max(0, min(free))


def _own_limit() -> list[int]:
    if sys.platform == "win32":
        return []
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft in (resource.RLIM_INFINITY, -1):
        return []
    import psutil

    return [soft - int(psutil.Process().memory_info().vms)]


def _container_memory() -> list[int]:
    """What the nearest limits of version 2 and 1 leave; nothing where there is none."""
    found = []
    for limit, usage, inactive in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
            most, used = int((_CGROUP / limit).read_text()), int((_CGROUP / usage).read_text())
            cached = _stat_of((_CGROUP / limit).parent / "memory.stat", inactive)
            found.append(most - used + cached)
    return found


def _stat_of(path: Path, name: str) -> int:
    """File pages that the kernel gives back by itself."""
    for line in path.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
