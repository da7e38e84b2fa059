package accept

import (
	"fmt"
	"sync"

	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// signers keeps the parsed signing keys of domains.
type signers struct {
	mu       sync.Mutex
	byDomain map[int64]cachedSigner
}

type cachedSigner struct {
	key    store.DKIMKey
	signer *signing.Signer
}

// maxSigners bounds the cache; past it the cache starts anew.
const maxSigners = 10_000

func newSigners() *signers { return &signers{byDomain: map[int64]cachedSigner{}} }

// of returns the signer of the domain, nil if it has no key.
func (s *signers) of(d store.Domain) (*signing.Signer, error) {
	if d.DKIM.PrivatePEM == "" {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.byDomain[d.ID]; ok && c.key == d.DKIM {
		return c.signer, nil
	}
	key, err := signing.ParseKey([]byte(d.DKIM.PrivatePEM))
	if err != nil {
		return nil, fmt.Errorf("signing key of %s: %w", d.Name, err)
	}
	signer, err := signing.NewSigner(d.Name, d.DKIM.Selector, key, 0)
	if err != nil {
		return nil, fmt.Errorf("signer of %s: %w", d.Name, err)
	}
	if len(s.byDomain) >= maxSigners {
		clear(s.byDomain)
	}
	s.byDomain[d.ID] = cachedSigner{key: d.DKIM, signer: signer}
	return signer, nil
}
