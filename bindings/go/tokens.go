package fanfare

// #include "native.h"
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// Key is what tokens are checked with: the content of a file, at most 256 KiB.
type Key struct {
	// Content is a public key in PEM, of P-256, Ed25519 or RSA with 2,048 bits or more; or else a secret
	// of at least 32 bytes, for HS256, whose line end at the end is no part of it.
	Content []byte
	// IsJWKS: the content is a JWK set (RFC 7517) instead: {"keys":[...]}.
	IsJWKS bool
}

// TokenOptions is how tokens are checked. The zero value is the default of each.
type TokenOptions struct {
	// Audiences: of a token's aud one has to be among these, at most 64. Default: none, and a token must
	// not have one.
	Audiences []string
	// Issuers: a token's iss has to be among these, at most 64. Default: none, and it is not looked at.
	Issuers []string
	// Claim: the name of the claim that says what is granted, 1 to 256 bytes. Default: fanfare.
	Claim string
	// Leeway: how much earlier than its nbf a token may be used; negative for no time.
	// Bounds: at most 5 min. Default: 5 s.
	Leeway time.Duration
}

// Tokens checks JSON Web Tokens. Any goroutine may use it.
type Tokens struct{ native *C.fanfare_tokens }

// NewTokens makes what checks tokens with some keys, 1 to 64. nil is the default of every option. The
// error is [ErrKey] when a key cannot be read or is too weak, and says why; an [OptionError],
// [ErrTooMany] or [ErrSystem].
func NewTokens(keys []Key, options *TokenOptions) (*Tokens, error) {
	var memory memory
	defer memory.release()
	given := C.fanfare_token_options_defaults()
	if options != nil {
		if len(options.Audiences) > 0 {
			given.audiences, given.audiences_count = memory.texts(options.Audiences)
		}
		if len(options.Issuers) > 0 {
			given.issuers, given.issuers_count = memory.texts(options.Issuers)
		}
		if options.Claim != "" {
			given.claim = memory.text(options.Claim)
		}
		duration(&given.leeway_ms, options.Leeway)
	}
	array, count := memory.keys(keys)
	var native *C.fanfare_tokens
	err := failure(C.fanfare_tokens_new(array, count, &given, &native))
	if err == ErrOptions {
		return nil, optionProblem(ErrOptions, func(name, bounds *C.fanfare_text) C.fanfare_status {
			return C.fanfare_token_options_problem(&given, name, bounds)
		})
	}
	if err != nil {
		return nil, keysProblem(err, array, count)
	}
	t := &Tokens{native}
	runtime.AddCleanup(t, func(native *C.fanfare_tokens) { C.fanfare_tokens_free(native) }, native)
	return t, nil
}

// SetKeys replaces the keys. Streams that are open stay open. The error is as of [NewTokens]; the keys
// are those of before then.
func (t *Tokens) SetKeys(keys []Key) error {
	var memory memory
	defer memory.release()
	array, count := memory.keys(keys)
	err := failure(C.fanfare_tokens_set_keys(t.pointer(), array, count))
	runtime.KeepAlive(t)
	return keysProblem(err, array, count)
}

// Verify checks a token of at most 8 KiB. The error is [ErrToken] when it is not valid, or no longer.
func (t *Tokens) Verify(token string) (*Granted, error) {
	var memory memory
	defer memory.release()
	var native *C.fanfare_granted
	err := failure(C.fanfare_tokens_verify(t.pointer(), memory.text(token), &native))
	runtime.KeepAlive(t)
	if err != nil {
		return nil, err
	}
	return newGranted(native)
}

func (t *Tokens) pointer() *C.fanfare_tokens {
	native := t.native
	inCall()
	return native
}

func (m *memory) keys(keys []Key) (*C.fanfare_key, C.size_t) {
	var element C.fanfare_key
	array := (*C.fanfare_key)(m.take(len(keys) * int(unsafe.Sizeof(element))))
	for i, key := range keys {
		form := C.uint32_t(C.FANFARE_KEY_FILE)
		if key.IsJWKS {
			form = C.FANFARE_KEY_JWKS
		}
		unsafe.Slice(array, len(keys))[i] = C.fanfare_key{bytes: m.text(string(key.Content)), form: form}
	}
	return array, C.size_t(len(keys))
}

func keysProblem(err error, array *C.fanfare_key, count C.size_t) error {
	if err != ErrKey {
		return err
	}
	var buffer [1024]byte
	var length C.size_t
	status := C.fanfare_keys_problem(array, count, (*C.char)(unsafe.Pointer(&buffer)), C.size_t(len(buffer)), &length)
	if status != C.FANFARE_OK {
		return err
	}
	return fmt.Errorf("%w: %s", err, buffer[:length])
}

// Granted is what a token or a ticket grants, for a program that opens streams itself. That of a ticket
// says, until it is closed, that the ticket's stream is connected.
type Granted struct {
	// Grant is the topics, tag, policy and end.
	Grant Grant

	cleanup runtime.Cleanup
	mu      sync.Mutex
	native  *C.fanfare_granted
}

func newGranted(native *C.fanfare_granted) (*Granted, error) {
	read := C.fanfare_grant{size: C.sizeof_fanfare_grant}
	if err := failure(C.fanfare_granted_grant(native, &read)); err != nil {
		C.fanfare_granted_free(native)
		return nil, err
	}
	g := &Granted{Grant: goGrant(&read), native: native}
	g.cleanup = runtime.AddCleanup(g, func(native *C.fanfare_granted) { C.fanfare_granted_free(native) }, native)
	return g, nil
}

// IsCurrent tells whether a ticket's stream is still that of this connection. It is not when the client
// has come back with the same ticket, and when this is closed: end the connection then.
func (g *Granted) IsCurrent() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	var is C.uint32_t
	if native := g.native; native != nil {
		inCall()
		C.fanfare_granted_is_current(native, &is)
	}
	runtime.KeepAlive(g)
	return is != 0
}

// Close says that the stream's connection has ended: the ticket may be used again. The error is always
// nil.
func (g *Granted) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cleanup.Stop()
	C.fanfare_granted_free(g.native)
	g.native = nil
	return nil
}

// SigningKey is a key that signs tokens. Any goroutine may use it.
type SigningKey struct{ native *C.fanfare_signing_key }

// NewSigningKey makes a key of its file's content: a private key in PEM without a passphrase, of P-256,
// Ed25519 or RSA with 2,048 bits or more; or else a secret of at least 32 bytes, for HS256. The error is
// [ErrKey] when it cannot be read or is too weak.
func NewSigningKey(content []byte) (*SigningKey, error) {
	var memory memory
	defer memory.release()
	var native *C.fanfare_signing_key
	if err := failure(C.fanfare_signing_key_new(memory.text(string(content)), &native)); err != nil {
		return nil, err
	}
	k := &SigningKey{native}
	runtime.AddCleanup(k, func(native *C.fanfare_signing_key) { C.fanfare_signing_key_free(native) }, native)
	return k, nil
}

// Claims is what a token says beside what it grants and when it expires. Each text is at most 1 KiB;
// empty is what the token does not have.
type Claims struct {
	// Audience is whom it is for (aud).
	Audience string
	// Issuer names the party that has made the token (iss).
	Issuer string
	// Subject is whom it is about (sub).
	Subject string
	// KeyID is the id of the key (kid).
	KeyID string
	// Claim is the name of the claim that says what is granted. Default: fanfare.
	Claim string
	// NotBefore is since when it is valid (nbf), whole seconds of which count. Default: always.
	NotBefore time.Time
}

// Sign makes a token for a grant, which has 1 to 256 topics and expires. Of the grant a token has its
// topics, tag, policy and the whole seconds of its end; one with anything else is refused.
//
// The error is [ErrGrant], also when the grant does not expire; [ErrTooLarge] when the token would have
// more than 8 KiB; [ErrOptions] for a claim that is too long or is not UTF-8; or [ErrKey].
func (k *SigningKey) Sign(grant Grant, claims Claims) (string, error) {
	var memory memory
	defer memory.release()
	made := grant.native(&memory)
	given := C.fanfare_token_claims_none()
	given.audience = memory.field(claims.Audience)
	given.issuer = memory.field(claims.Issuer)
	given.subject = memory.field(claims.Subject)
	given.kid = memory.field(claims.KeyID)
	given.claim = memory.field(claims.Claim)
	given.not_before_unix_ms = unixMS(claims.NotBefore)
	buffer := make([]byte, 8192)
	var length C.size_t
	native := k.native
	inCall()
	err := failure(C.fanfare_signing_key_sign(native, &made, &given,
		(*C.char)(unsafe.Pointer(unsafe.SliceData(buffer))), C.size_t(len(buffer)), &length))
	runtime.KeepAlive(k)
	if err == ErrGrant {
		return "", grantProblem(&made)
	} else if err != nil {
		return "", err
	}
	return string(buffer[:length]), nil
}
