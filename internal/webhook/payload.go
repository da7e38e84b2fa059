package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/event"
)

// tokenLength is the number of characters of a token.
const tokenLength = 50

// A Signature lets the receiver check that a call is ours and is new. All values
// are strings on the wire.
type Signature struct {
	Timestamp string `json:"timestamp"` // seconds since 1970
	Token     string `json:"token"`     // 50 characters, never used twice
	Signature string `json:"signature"` // lower-case hexadecimal HMAC-SHA256 of timestamp and token
}

// Sign returns the signature of one attempt.
func Sign(key string, now time.Time, token string) Signature {
	s := Signature{Timestamp: strconv.FormatInt(now.Unix(), 10), Token: token}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(s.Timestamp + s.Token))
	s.Signature = hex.EncodeToString(mac.Sum(nil))
	return s
}

// newToken returns 200 random bits.
func newToken() string {
	var b [tokenLength / 2]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// keys are what a call is signed with: the account's key and, for a sub-account, also
// its parent's.
type keys struct{ account, parent string }

// payload returns the body of one attempt. Timestamp and token are new in each; the event
// with its id is the same in all.
func payload(w event.Wire, k keys, now time.Time, token string) ([]byte, error) {
	body := struct {
		Signature Signature  `json:"signature"`
		Parent    *Signature `json:"parent-signature,omitempty"`
		Event     event.Wire `json:"event-data"`
	}{Signature: Sign(k.account, now, token), Event: w}
	if k.parent != "" {
		parent := Sign(k.parent, now, token)
		body.Parent = &parent
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // octet for octet what the events API says
	if err := enc.Encode(body); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", w.ID, err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
