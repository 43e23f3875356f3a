module github.com/fanfare-sse/fanfare/bindings/go/dist/linux-arm64

go 1.24
