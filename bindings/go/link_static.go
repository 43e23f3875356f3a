//go:build !fanfare_shared && !fanfare_system && !fanfare_tree

package fanfare

// The library itself is in the module of the platform, which a file link_PLATFORM.go imports.

// #cgo CFLAGS: -I${SRCDIR}/include
// #include <fanfare.h>
//
// #if defined __linux__ && defined __x86_64__
// #elif defined __linux__ && defined __aarch64__
// #elif defined __APPLE__
// #else
// #error fanfare has no static library for this platform: build one, and link it with -tags fanfare_system
// #endif
import "C"

import _ "github.com/fanfare-sse/fanfare/bindings/go/include" // vendored with the package
