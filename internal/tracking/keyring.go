package tracking

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/sealpost/sealpost/internal/store"
)

const (
	tagSize = 16 // octets of the truncated HMAC
	// MaxToken is how long the token of a link may be, in octets.
	MaxToken = 4096
)

// A Keyring seals what links say, and opens it again.
//
// A token is the synthetic initialisation vector construction (RFC 5297 section 1.3.2) with
// HMAC-SHA-256, truncated to 128 bits, as its function and AES-128 in counter mode: what the link says
// is authenticated, the tag is the initial counter under which it is encrypted. The same link is therefore always
// the same token, no random number lengthens it, and who holds one learns neither recipient
// nor target. It is written in the URL-safe alphabet of RFC 4648 section 5 without padding, and
// ends in a letter or digit that tells the key, because programs that find links in text
// leave a hyphen at their end out.
//
// The newest key seals; older ones open as long as the store has them. It is safe for concurrent use.
type Keyring struct {
	keys atomic.Pointer[[]linkKey] // newest first
}

type linkKey struct {
	slot  byte
	mac   []byte
	block cipher.Block
}

// slots are the letters that tell keys apart. Keys whose numbers differ by their count share one.
const slots = "0123456789abcdefghijklmnopqrstuv"

// OpenKeyring reads the keys, and makes the first one where there is none.
func OpenKeyring(ctx context.Context, keys store.LinkKeys) (*Keyring, error) {
	r := &Keyring{}
	list, err := keys.LinkKeys(ctx)
	if err == nil && len(list) == 0 {
		return r, r.Rotate(ctx, keys)
	}
	if err != nil {
		return nil, fmt.Errorf("read link keys: %w", err)
	}
	return r, r.use(list)
}

// Rotate makes a new key the one that seals. Links that were made before stay good.
func (r *Keyring) Rotate(ctx context.Context, keys store.LinkKeys) error {
	secret := make([]byte, store.LinkSecretSize)
	rand.Read(secret) // never fails
	if err := keys.AddLinkKey(ctx, &store.LinkKey{Secret: secret}); err != nil {
		return fmt.Errorf("make a link key: %w", err)
	}
	list, err := keys.LinkKeys(ctx)
	if err != nil {
		return fmt.Errorf("read link keys: %w", err)
	}
	return r.use(list)
}

// use takes the keys, newest first.
func (r *Keyring) use(list []store.LinkKey) error {
	var keys []linkKey
	for _, k := range list {
		if len(k.Secret) != store.LinkSecretSize {
			return fmt.Errorf("link key %d has %d octets", k.ID, len(k.Secret))
		}
		mac, err := hkdf.Key(sha256.New, k.Secret, nil, "sealpost link authentication", 32)
		if err != nil {
			return fmt.Errorf("link key %d: %w", k.ID, err)
		}
		enc, err := hkdf.Key(sha256.New, k.Secret, nil, "sealpost link encryption", 16)
		if err != nil {
			return fmt.Errorf("link key %d: %w", k.ID, err)
		}
		block, err := aes.NewCipher(enc)
		if err != nil {
			return fmt.Errorf("link key %d: %w", k.ID, err)
		}
		keys = append(keys, linkKey{slots[uint64(k.ID)%uint64(len(slots))], mac, block})
	}
	if len(keys) == 0 {
		return errors.New("there is no link key")
	}
	r.keys.Store(&keys)
	return nil
}

// Seal returns the token of a link.
func (r *Keyring) Seal(l Link) string {
	k := &(*r.keys.Load())[0]
	plain := l.encode()
	sealed := make([]byte, tagSize+len(plain))
	copy(sealed, k.tag(plain))
	cipher.NewCTR(k.block, sealed[:tagSize]).XORKeyStream(sealed[tagSize:], plain)
	text := make([]byte, 0, base64.RawURLEncoding.EncodedLen(len(sealed))+1)
	return string(append(base64.RawURLEncoding.AppendEncode(text, sealed), k.slot))
}

func (k *linkKey) tag(plain []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write(plain)
	return h.Sum(nil)[:tagSize]
}

// Open returns what a token says; ok is false if it is not one that Seal made. Every change of a
// token, also one of how its octets are written, makes it another.
func (r *Keyring) Open(token string) (l Link, ok bool) {
	if len(token) < 2 || len(token) > MaxToken || strings.ContainsAny(token, "\r\n") { // which base64 passes over
		return Link{}, false
	}
	last := len(token) - 1
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token[:last])
	if err != nil || len(sealed) <= tagSize {
		return Link{}, false
	}
	plain := make([]byte, len(sealed)-tagSize)
	for _, k := range *r.keys.Load() {
		if k.slot != token[last] {
			continue
		}
		cipher.NewCTR(k.block, sealed[:tagSize]).XORKeyStream(plain, sealed[tagSize:])
		if hmac.Equal(k.tag(plain), sealed[:tagSize]) {
			l, err := decodeLink(plain)
			return l, err == nil
		}
	}
	return Link{}, false
}
