package evidence

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sealpost/sealpost/internal/evidence/proof"
	"github.com/sealpost/sealpost/internal/mail"
)

const (
	// signingName holds the private keys, a line each, in the encoding of
	// note.GenerateKey. The first is the current one; one more, if there is one, is its
	// predecessor, which signs beside it so that those who know only the old key can follow.
	signingName = "signing.key"
	// verifierName holds the verifier keys of every key that ever signed, newest first.
	verifierName = "verifier.keys"
	maxKeyFile   = 64 << 10
)

// A keyring is the keys that sign, and all that ever did.
type keyring struct {
	signers   []note.Signer // current first
	private   []string
	public    []string // newest first; public[0] belongs to signers[0]
	verifiers note.Verifiers
	salt      [32]byte
}

// openKeys reads the keys of a folder. The first time it makes one with the given
// name; created says so.
func openKeys(dir, name string) (k *keyring, created bool, err error) {
	path := filepath.Join(dir, signingName)
	private, err := readLines(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, err = newKeys(dir, name, nil)
		return k, true, err
	}
	if err != nil {
		return nil, false, err
	}
	public, err := readLines(filepath.Join(dir, verifierName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, err
	}
	k, err = makeRing(private, public)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w: restore it from a backup, or remove it and a new key is made", path, err)
	}
	return k, false, nil
}

// newKeys makes a key, puts it before the given ones and stores them.
func newKeys(dir, name string, old *keyring) (*keyring, error) {
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	private := []string{skey}
	public, err := readLines(filepath.Join(dir, verifierName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if old != nil {
		private, public = append(private, old.private[0]), old.public
	}
	public = append([]string{vkey}, public...)
	k, err := makeRing(private, public)
	if err != nil {
		return nil, err
	}
	// The public half first: a key that has signed must be known.
	if err := replaceFile(filepath.Join(dir, verifierName), []byte(strings.Join(public, "\n")+"\n")); err != nil {
		return nil, err
	}
	return k, replaceFile(filepath.Join(dir, signingName), []byte(strings.Join(private, "\n")+"\n"))
}

func makeRing(private, public []string) (*keyring, error) {
	if len(private) == 0 {
		return nil, errors.New("it holds no key")
	}
	k := &keyring{private: private, salt: sha256.Sum256([]byte("salt of evidence\n" + private[0]))}
	var own []string
	for i, p := range private {
		s, err := note.NewSigner(p)
		if err != nil {
			return nil, fmt.Errorf("line %d is not a signing key", i+1) // never the line: it is a secret
		}
		v, err := verifierOf(p)
		if err != nil {
			return nil, fmt.Errorf("line %d is not a signing key", i+1)
		}
		k.signers, own = append(k.signers, s), append(own, v)
	}
	k.public = own
	for _, p := range public {
		if !slices.Contains(k.public, p) {
			k.public = append(k.public, p)
		}
	}
	var err error
	k.verifiers, err = proof.Keys(k.public)
	return k, err
}

// name is what the current key is called; it is the origin of checkpoints.
func (k *keyring) name() string { return k.signers[0].Name() }

// sign signs a text with the current key and its predecessor.
func (k *keyring) sign(text string) ([]byte, error) {
	return note.Sign(&note.Note{Text: text}, k.signers...)
}

// saltOf returns the salt of an event's record. It follows from the event, so
// that a record that is derived once more is the same.
func (k *keyring) saltOf(id mail.ID) []byte {
	mac := hmac.New(sha256.New, k.salt[:])
	mac.Write([]byte(id.String()))
	return mac.Sum(nil)[:16]
}

// keyName returns a name for the key of a host, as notes allow it.
func keyName(hostname string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '+' || r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, hostname)
	if clean == "" {
		clean = "sealpost"
	}
	return clean + "/evidence"
}

// readLines returns the lines of a small file that are not empty.
func readLines(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is no file of keys: it has %d octets", path, info.Size())
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, so others on this machine may read it: set it to 0600", path, mode)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(b)), nil
}

// verifierOf returns the verifier key of a private key, as note.GenerateKey gave it.
func verifierOf(private string) (string, error) {
	parts := strings.SplitN(private, "+", 5) // PRIVATE+KEY+name+hash+data, which may hold a +
	if len(parts) != 5 {
		return "", errors.New("not a signing key")
	}
	data, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(data) != 1+ed25519.SeedSize {
		return "", errors.New("not a signing key")
	}
	public, ok := ed25519.NewKeyFromSeed(data[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("not a signing key")
	}
	return note.NewEd25519VerifierKey(parts[2], public)
}
