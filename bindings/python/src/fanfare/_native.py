"""The C library: its declarations out of its own header, so that there is no second copy."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from cffi import FFI

HERE = Path(__file__).resolve().parent
NAME = "libfanfare.dylib" if sys.platform == "darwin" else "libfanfare.so.1"


def _declarations(header: str) -> str:
    """What cffi understands of a header: declarations, and of the preprocessor numbers alone."""
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    header = re.sub(r"#ifdef __cplusplus.*?#endif", "", header, flags=re.DOTALL)
    header = re.sub(r"#ifndef FANFARE_DECLARATIONS_ONLY.*?#endif", "", header, flags=re.DOTALL)
    return re.sub(r"^#(?!define \w+ \d+u?$).*$", "", header, flags=re.MULTILINE)


def _folder() -> Path:
    """Where the library is: where we are told, in the package, or in the repository's build."""
    told = os.environ.get("FANFARE_LIB_DIR")
    if told:
        return Path(told)
    return HERE if (HERE / NAME).exists() else HERE.parents[3] / "build" / "lib"


def _load(ffi: FFI) -> Any:  # noqa: ANN401 (cffi has no types)
    path = _folder() / NAME
    try:
        lib = ffi.dlopen(str(path))
    except OSError as error:
        raise ImportError(
            f"fanfare's C library cannot be loaded: {error}. Build it with `make capi` in "
            "fanfare's repository, or set FANFARE_LIB_DIR to the folder that has it."
        ) from error
    found, wanted = lib.fanfare_abi_version(), lib.FANFARE_ABI_VERSION
    if found != wanted:
        raise ImportError(
            f"{path} has version {found} of fanfare's ABI, and this package needs {wanted}: "
            "install the library and the package of one release."
        )
    return lib


ffi = FFI()
ffi.cdef(_declarations((HERE / "fanfare.h").read_text(encoding="utf-8")))
lib = _load(ffi)
