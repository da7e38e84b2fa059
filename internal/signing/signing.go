// Package signing signs messages with DKIM (RFC 6376, RFC 8463).
package signing

import "time"

// A Key is a private key for DKIM: RSA, or Ed25519 (RFC 8463).
type Key struct{}

// GenerateRSA makes a key of 2,048 bits, the size RFC 8301 asks signers to use.
func GenerateRSA() (Key, error) { return Key{}, nil }

// GenerateEd25519 makes an Ed25519 key.
func GenerateEd25519() (Key, error) { return Key{}, nil }

// ParseKey reads a private key in PEM: PKCS #8, or PKCS #1 for RSA.
func ParseKey(pem []byte) (Key, error) { return Key{}, nil }

// PEM returns the key as PKCS #8.
func (k Key) PEM() ([]byte, error) { return nil, nil }

// TXT returns the value of the DNS TXT record: "k=rsa; p=…".
func (k Key) TXT() string { return "" }

// A Signer signs for one domain and selector. It is safe for concurrent use.
type Signer struct{}

// NewSigner returns a signer for the domain (A-labels) and selector.
func NewSigner(domain, selector string, k Key) (*Signer, error) { return nil, nil }

// A Digest is an io.Writer that takes a whole message as it will travel and
// keeps what a signature needs: the header section and the hash of the body.
type Digest struct{}

// NewDigest returns an empty digest.
func NewDigest() *Digest { return nil }

// Write takes the next octets of the message.
func (d *Digest) Write(p []byte) (int, error) { return len(p), nil }

// Sign ends the message and returns its DKIM-Signature field, CRLF at the end, to
// be put before the message. Several signers may sign one digest.
func (d *Digest) Sign(s *Signer, now time.Time) (string, error) { return "", nil }
