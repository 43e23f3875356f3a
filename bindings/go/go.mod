module github.com/fanfare-sse/fanfare/bindings/go

go 1.24

// The libraries, one module for each platform.
require (
	github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-amd64 v0.0.0
	github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-arm64 v0.0.0
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64 v0.0.0
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64-musl v0.0.0
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-arm64 v0.0.0
)

// In the source tree they link what is built here. Replacements are this module's own: programs that
// depend on it get the modules that `make go-dist` makes.
replace (
	github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-amd64 => ./dist/darwin-amd64
	github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-arm64 => ./dist/darwin-arm64
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64 => ./dist/linux-amd64
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64-musl => ./dist/linux-amd64-musl
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-arm64 => ./dist/linux-arm64
)
