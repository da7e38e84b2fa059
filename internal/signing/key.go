package signing

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	rsaBits    = 2048
	minRSABits = 1024 // RFC 8301 section 3.2
	maxRSABits = 4096 // what verifiers must be able to read
)

// Errors of ParseKey that callers branch on.
var (
	ErrNoPEM   = errors.New("private key is not PEM") // at all
	ErrKeySize = errors.New("RSA key is too small or too large")
)

// A Key is a private key for DKIM: RSA, or Ed25519 (RFC 8463). Make one with
// GenerateRSA, GenerateEd25519 or ParseKey; the zero Key cannot sign.
type Key struct {
	private crypto.Signer
}

// GenerateRSA makes an RSA key of 2,048 bits, which RFC 8301 section 3.2 asks
// signers to use.
func GenerateRSA() (Key, error) {
	return GenerateRSABits(rsaBits)
}

// GenerateRSABits is GenerateRSA for another size: 2,048 or 4,096 bits. Smaller keys are read
// but not made (RFC 8301 section 3.2).
func GenerateRSABits(bits int) (Key, error) {
	if bits != rsaBits && bits != maxRSABits {
		return Key{}, fmt.Errorf("generate RSA key: %d bits are neither %d nor %d", bits, rsaBits, maxRSABits)
	}
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return Key{}, fmt.Errorf("generate RSA key: %w", err)
	}
	return Key{k}, nil
}

// GenerateEd25519 makes an Ed25519 key. Few receivers verify it, so it goes
// beside RSA, never instead.
func GenerateEd25519() (Key, error) {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, fmt.Errorf("generate Ed25519 key: %w", err)
	}
	return Key{k}, nil
}

// ParseKey reads a private key in PEM: PKCS #8, or PKCS #1 for RSA, as other
// tools write it. RSA keys have 1,024 to 4,096 bits.
func ParseKey(text []byte) (Key, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return Key{}, ErrNoPEM
	}
	var private any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return Key{}, fmt.Errorf("PEM block is %q, not a private key", block.Type)
	}
	if err != nil {
		return Key{}, fmt.Errorf("read private key: %w", err)
	}
	switch k := private.(type) {
	case *rsa.PrivateKey:
		if n := k.N.BitLen(); n < minRSABits || n > maxRSABits {
			return Key{}, fmt.Errorf("%w: %d bits, not %d to %d", ErrKeySize, n, minRSABits, maxRSABits)
		}
		return Key{k}, nil
	case ed25519.PrivateKey:
		return Key{k}, nil
	}
	return Key{}, errors.New("private key is neither RSA nor Ed25519")
}

// PEM returns the key as PKCS #8, the form to keep it in. It is a secret.
func (k Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("write private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// TXT returns the value of the TXT record that publishes the key's public
// half at <selector>._domainkey.<domain> (RFC 6376 section 3.6.1): "k=rsa; p=…".
func (k Key) TXT() (string, error) {
	switch public := k.public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return "", fmt.Errorf("write public key: %w", err)
		}
		return "k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey: // RFC 8463 section 4: the bare key
		return "k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	}
	return "", errors.New("no key")
}

func (k Key) public() crypto.PublicKey {
	if k.private == nil {
		return nil
	}
	return k.private.Public()
}

// algorithm returns the value of the a= tag.
func (k Key) algorithm() string {
	if _, ok := k.public().(ed25519.PublicKey); ok {
		return "ed25519-sha256"
	}
	return "rsa-sha256"
}

// sign signs the SHA-256 hash of what is signed.
func (k Key) sign(hash [sha256.Size]byte) ([]byte, error) {
	if _, ok := k.public().(ed25519.PublicKey); ok {
		return k.private.Sign(nil, hash[:], crypto.Hash(0)) // RFC 8463 section 3 signs the hash
	}
	return k.private.Sign(nil, hash[:], crypto.SHA256)
}
