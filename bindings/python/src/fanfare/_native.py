"""The C library and its declarations.

A wheel has both in ``_fanfare``: cffi compiled the declarations when the wheel was built, of the C
header. In fanfare's repository they are read out of the header itself, so that nothing has to be
built but the library.
"""

from __future__ import annotations

import _thread
import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NAME = "libfanfare.dylib" if sys.platform == "darwin" else "libfanfare.so.1"
IN_REPOSITORY = (HERE / "fanfare.h").exists()
ADVICE = (
    "Build it with `make capi` in fanfare's repository, or set FANFARE_LIB_DIR to the folder that "
    "has it."
    if IN_REPOSITORY
    else "Install fanfare again (`pip install --force-reinstall fanfare`): from a wheel for this "
    "system and processor, or, if there is none, from source, which needs Rust."
)


def _declarations(header: str) -> str:
    """What cffi understands of a header: declarations, and of the preprocessor numbers alone."""
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    header = re.sub(r"#ifdef __cplusplus.*?#endif", "", header, flags=re.DOTALL)
    header = re.sub(r"#ifndef FANFARE_DECLARATIONS_ONLY.*?#endif", "", header, flags=re.DOTALL)
    return re.sub(r"^#(?!define \w+ \d+u?$).*$", "", header, flags=re.MULTILINE)


def _of_repository() -> tuple[Any, Any]:
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(_declarations((HERE / "fanfare.h").read_text(encoding="utf-8")))
    folder = Path(os.environ.get("FANFARE_LIB_DIR") or HERE.parents[3] / "build" / "lib")
    return ffi, ffi.dlopen(str(folder / NAME))


def _of_wheel() -> tuple[Any, Any]:
    compiled = importlib.import_module("fanfare._fanfare")
    return compiled.ffi, compiled.lib


def _load() -> tuple[Any, Any]:
    # An isolated interpreter has neither daemon threads nor cffi. One that has tried to load cffi
    # makes Python 3.12.1 abort later, so it is not tried.
    if not getattr(_thread, "daemon_threads_allowed", lambda: True)():
        raise ImportError("fanfare does not work in an isolated subinterpreter: cffi does not")
    try:
        ffi, lib = _of_repository() if IN_REPOSITORY else _of_wheel()
    except (ImportError, OSError) as error:  # both say which file was sought
        raise ImportError(f"fanfare's C library cannot be loaded: {error}. {ADVICE}") from error
    found, wanted = lib.fanfare_abi_version(), lib.FANFARE_ABI_VERSION
    if found != wanted:
        raise ImportError(
            f"fanfare's C library has version {found} of the ABI, and this package needs {wanted}. "
            f"{ADVICE}"
        )
    return ffi, lib


ffi, lib = _load()
