// Package include has the C header that package fanfare is compiled with, so that vendoring takes it.
package include
