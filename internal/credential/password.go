// Package credential knows who may submit mail with a login and password.
//
// A password is the weakest thing a sender proves itself with: people choose it,
// programs keep it in the clear, and anybody can try one. The package stores
// argon2id hashes (RFC 9106), makes a wrong login cost as much as a wrong
// password, evaluates only so many guesses, and lets no amount of wrong guesses from
// elsewhere lock the owner out (SEC-58).
//
// It leaves the SASL exchange to the doors and the keeping of credentials to the store.
package credential

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Argon2id parameters of new hashes: 19 MiB and two passes.
const (
	hashMemory  = 19 << 10 // KiB
	hashPasses  = 2
	hashThreads = 1
	hashSalt    = 16
	hashKey     = 32
)

// Bounds on the parameters of hashes we evaluate; the store is ours, but a
// mistake there must not eat the machine.
const (
	maxMemory  = 256 << 10 // KiB
	maxPasses  = 16
	maxThreads = 8
)

// MaxPassword is the size of a password in octets.
const MaxPassword = 1024

var b64 = base64.RawStdEncoding

// Hash returns the argon2id hash of a password in its usual encoded form,
// $argon2id$v=19$m=…,t=…,p=…$salt$key. The password has 1 to MaxPassword octets.
func Hash(password string) (string, error) {
	if password == "" || len(password) > MaxPassword {
		return "", fmt.Errorf("password must have 1 to %d octets", MaxPassword)
	}
	return hashWith(password, hashMemory, hashPasses), nil
}

func hashWith(password string, memory, passes uint32) string {
	salt := make([]byte, hashSalt)
	rand.Read(salt) // never fails
	key := argon2.IDKey([]byte(password), salt, passes, memory, hashThreads, hashKey)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, hashThreads,
		b64.EncodeToString(salt), b64.EncodeToString(key))
}

// Matches reports whether the password is the one that was hashed. It compares
// in constant time. An error means that the hash cannot be evaluated.
func Matches(encoded, password string) (bool, error) {
	h, err := parseHash(encoded)
	if err != nil {
		return false, err
	}
	if len(password) > MaxPassword {
		return false, nil
	}
	key := argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1, nil
}

type hash struct {
	memory, passes uint32
	threads        uint8
	salt, key      []byte
}

var errHash = errors.New("not an argon2id hash")

func parseHash(encoded string) (hash, error) {
	parts := strings.Split(encoded, "$")
	if len(encoded) > 512 || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return hash{}, errHash
	}
	var h hash
	var version int
	if n, err := fmt.Sscanf(parts[2], "v=%d", &version); n != 1 || err != nil || version != argon2.Version {
		return hash{}, errHash
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.passes, &h.threads); n != 3 || err != nil {
		return hash{}, errHash
	}
	if h.memory == 0 || h.memory > maxMemory || h.passes == 0 || h.passes > maxPasses || h.threads == 0 || h.threads > maxThreads {
		return hash{}, errors.New("argon2id parameters out of bounds")
	}
	var errSalt, errKey error
	h.salt, errSalt = b64.DecodeString(parts[4])
	h.key, errKey = b64.DecodeString(parts[5])
	if errSalt != nil || errKey != nil || len(h.salt) < 8 || len(h.key) < 16 || len(h.key) > 64 {
		return hash{}, errHash
	}
	return h, nil
}
