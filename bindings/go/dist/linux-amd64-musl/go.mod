module github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64-musl

go 1.24
