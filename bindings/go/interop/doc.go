// Package interop has tests of fanfare with routers, middleware and clients that others wrote, and a
// benchmark beside other libraries. It is a module of its own, so that fanfare's has no dependencies.
package interop
