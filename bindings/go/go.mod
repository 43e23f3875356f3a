module github.com/fanfare-sse/fanfare/bindings/go

go 1.24
