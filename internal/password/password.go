// Package password hashes and checks the passwords of submission logins.
//
// A password that people choose is guessed from its hash unless every guess
// costs memory and time. Argon2id (RFC 9106) makes it cost both. The package stores
// hashes in the usual encoded form, which carries its own parameters, so that
// they can be raised later without touching what is stored. It also bounds how many
// hashes are computed at a time, or logins would be a way to take the server's
// memory (SEC-58).
//
// Who may try how often, and which login exists, is the caller's business. A
// caller that does not know the login checks the password against [Decoy], so
// that unknown names cost the same as known ones.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of new hashes: the second choice of OWASP's list, 19 MiB and two
// passes, about 20 ms of one core.
const (
	memory  = 19 << 10 // KiB
	passes  = 2
	threads = 1
	saltLen = 16
	keyLen  = 32
)

// Bounds on parameters of stored hashes, which are trusted no further than
// this.
const (
	maxMemory   = 1 << 20 // KiB
	maxPasses   = 20
	maxThreads  = 16
	maxEncoded  = 512
	maxPassword = 1024 // octets; longer ones do not match
)

// Decoy is a hash that no password matches and that costs what others cost.
const Decoy = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// A Hasher computes a bounded number of hashes at a time. It is safe for
// concurrent use.
type Hasher struct{ slots chan struct{} }

// New returns a Hasher for at most n hashes at a time; 0: one for each CPU.
func New(n int) *Hasher {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return &Hasher{slots: make(chan struct{}, n)}
}

// Hash returns the encoded hash of a password. It waits for its turn and fails
// only if ctx ends first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLen)
	rand.Read(salt) // never fails
	key, err := h.derive(ctx, password, salt, params{memory, passes, threads}, keyLen)
	if err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, threads, b64(salt), b64(key)), nil
}

// Verify reports whether the password is the one that was hashed. An error means
// that ctx ended, or that encoded is not a hash.
func (h *Hasher) Verify(ctx context.Context, encoded, password string) (bool, error) {
	p, salt, want, err := decode(encoded)
	if err != nil {
		return false, err
	}
	if len(password) > maxPassword {
		password = password[:maxPassword] // costs the same, and cannot match: Hash never saw the rest cut
		_, err := h.derive(ctx, password, salt, p, len(want))
		return false, err
	}
	got, err := h.derive(ctx, password, salt, p, len(want))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// params are what a hash costs.
type params struct {
	memory, passes uint32
	threads        uint8
}

func (h *Hasher) derive(ctx context.Context, password string, salt []byte, p params, n int) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a turn to hash: %w", context.Cause(ctx))
	}
	return argon2.IDKey([]byte(password), salt, p.passes, p.memory, p.threads, uint32(n)), nil
}

// decode takes an encoded hash apart.
func decode(encoded string) (p params, salt, key []byte, err error) {
	bad := errors.New("not an argon2id hash in encoded form")
	parts := strings.Split(encoded, "$")
	if len(encoded) > maxEncoded || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, bad
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.threads); n != 3 || err != nil {
		return p, nil, nil, bad
	}
	if p.memory < 8 || p.memory > maxMemory || p.passes < 1 || p.passes > maxPasses || p.threads < 1 || p.threads > maxThreads {
		return p, nil, nil, bad
	}
	b64 := base64.RawStdEncoding.Strict()
	if salt, err = b64.DecodeString(parts[4]); err != nil || len(salt) < 8 {
		return p, nil, nil, bad
	}
	if key, err = b64.DecodeString(parts[5]); err != nil || len(key) < 16 {
		return p, nil, nil, bad
	}
	return p, salt, key, nil
}
