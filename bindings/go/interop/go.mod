module github.com/fanfare-sse/fanfare/bindings/go/interop

// As tmaxmax/go-sse needs it; the package itself needs Go 1.24.
go 1.26

require (
	github.com/fanfare-sse/fanfare/bindings/go v0.0.0
	github.com/gin-gonic/gin v1.11.0
	github.com/go-chi/chi/v5 v5.2.3
	github.com/labstack/echo/v4 v4.13.4
	github.com/launchdarkly/eventsource v1.11.0
	github.com/r3labs/sse/v2 v2.10.0
	github.com/tmaxmax/go-sse v0.12.0
)

require (
	github.com/bytedance/sonic v1.14.0 // indirect
	github.com/bytedance/sonic/loader v0.3.0 // indirect
	github.com/cloudwego/base64x v0.1.6 // indirect
	github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-amd64 v0.0.0 // indirect
	github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-arm64 v0.0.0 // indirect
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64 v0.0.0 // indirect
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64-musl v0.0.0 // indirect
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-arm64 v0.0.0 // indirect
	github.com/gabriel-vasile/mimetype v1.4.8 // indirect
	github.com/gin-contrib/sse v1.1.0 // indirect
	github.com/go-playground/locales v0.14.1 // indirect
	github.com/go-playground/universal-translator v0.18.1 // indirect
	github.com/go-playground/validator/v10 v10.27.0 // indirect
	github.com/goccy/go-json v0.10.2 // indirect
	github.com/goccy/go-yaml v1.18.0 // indirect
	github.com/json-iterator/go v1.1.12 // indirect
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	github.com/labstack/gommon v0.4.2 // indirect
	github.com/leodido/go-urn v1.4.0 // indirect
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/modern-go/concurrent v0.0.0-20180228061459-e0a39a4cb421 // indirect
	github.com/modern-go/reflect2 v1.0.2 // indirect
	github.com/pelletier/go-toml/v2 v2.2.4 // indirect
	github.com/quic-go/qpack v0.5.1 // indirect
	github.com/quic-go/quic-go v0.54.0 // indirect
	github.com/twitchyliquid64/golang-asm v0.15.1 // indirect
	github.com/ugorji/go/codec v1.3.0 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fasttemplate v1.2.2 // indirect
	go.uber.org/mock v0.5.0 // indirect
	golang.org/x/arch v0.20.0 // indirect
	golang.org/x/crypto v0.40.0 // indirect
	golang.org/x/mod v0.25.0 // indirect
	golang.org/x/net v0.42.0 // indirect
	golang.org/x/sync v0.16.0 // indirect
	golang.org/x/sys v0.35.0 // indirect
	golang.org/x/text v0.27.0 // indirect
	golang.org/x/time v0.11.0 // indirect
	golang.org/x/tools v0.34.0 // indirect
	google.golang.org/protobuf v1.36.9 // indirect
	gopkg.in/cenkalti/backoff.v1 v1.1.0 // indirect
)

replace (
	github.com/fanfare-sse/fanfare/bindings/go => ../
	github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-amd64 => ../dist/darwin-amd64
	github.com/fanfare-sse/fanfare/bindings/go/dist/darwin-arm64 => ../dist/darwin-arm64
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64 => ../dist/linux-amd64
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-amd64-musl => ../dist/linux-amd64-musl
	github.com/fanfare-sse/fanfare/bindings/go/dist/linux-arm64 => ../dist/linux-arm64
)
