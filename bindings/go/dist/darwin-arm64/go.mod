module github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-arm64

go 1.24
