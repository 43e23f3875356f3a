module github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-amd64

go 1.24
