package accept

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/sendopt"
	"github.com/sealpost/sealpost/internal/signing"
	"github.com/sealpost/sealpost/internal/store"
)

// signers keeps the parsed signing keys of domains, because parsing one takes longer than
// all else about a small message.
type signers struct {
	mu    sync.Mutex
	known map[signerName]cachedSigner
}

// A signerName is what a signature says of its key (d= and s=).
type signerName struct{ domain, selector string }

type cachedSigner struct {
	pem    string
	signer *signing.Signer
}

// maxSigners bounds the cache; past it the cache starts anew.
const maxSigners = 10_000

func newSigners() *signers { return &signers{known: map[signerName]cachedSigner{}} }

// of returns the signer of a key under a name.
func (s *signers) of(name signerName, pem string) (*signing.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.known[name]; ok && c.pem == pem {
		return c.signer, nil
	}
	key, err := signing.ParseKey([]byte(pem))
	if err != nil {
		return nil, fmt.Errorf("signing key %s of %s: %w", name.selector, name.domain, err)
	}
	signer, err := signing.NewSigner(name.domain, name.selector, key, 0)
	if err != nil {
		return nil, fmt.Errorf("signer %s of %s: %w", name.selector, name.domain, err)
	}
	if len(s.known) >= maxSigners {
		clear(s.known)
	}
	s.known[name] = cachedSigner{pem: pem, signer: signer}
	return signer, nil
}

// chooseSigners settles which keys sign the submission: those of the domain, or of the one
// whose authority it is under, and the one that the message asks for besides.
func (j *job) chooseSigners(ctx context.Context) error {
	j.signers = nil
	if j.signs() {
		authority, err := j.authority(ctx)
		if err != nil {
			return err
		}
		for _, k := range authority.SigningKeys() {
			if k.PrivatePEM == "" {
				continue
			}
			s, err := j.room.signers.of(signerName{authority.Name, k.Selector}, k.PrivatePEM)
			if err != nil {
				return err
			}
			j.signers = append(j.signers, s)
		}
	}
	return j.chooseSecondary(ctx)
}

// authority returns the domain whose keys sign. One that is gone, or another account's by now,
// has no authority any more.
func (j *job) authority(ctx context.Context) (store.Domain, error) {
	name := j.domain.Settings.DKIMAuthority
	if name == "" || name == j.domain.Name {
		return j.domain, nil
	}
	d, err := j.room.domains.Domain(ctx, name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return j.domain, nil
	case err != nil:
		return d, fmt.Errorf("look up DKIM authority %s: %w", name, err)
	case d.AccountID != j.domain.AccountID || len(d.DKIM) == 0:
		return j.domain, nil
	}
	return d, nil
}

// chooseSecondary adds the signature that the message asks for besides its domain's own
// (o:secondary-dkim), under another name if it asks for that (o:secondary-dkim-public). It is
// a claim to appear as that domain like others (SEC-57).
func (j *job) chooseSecondary(ctx context.Context) error {
	asked, alias := j.opts.SecondaryDKIM, j.opts.SecondaryPublic
	if asked == "" {
		if alias != "" {
			return invalid("o:secondary-dkim-public requires o:secondary-dkim")
		}
		return nil
	}
	name, ok := parseSignerName(asked)
	if !ok {
		return notSecondary(asked)
	}
	d, err := j.room.domains.Domain(ctx, name.domain)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("look up domain %s: %w", name.domain, err)
	}
	if err != nil || d.AccountID != j.domain.AccountID {
		return notSecondary(asked)
	}
	pem := ""
	for _, k := range d.DKIM {
		if k.Selector == name.selector {
			pem = k.PrivatePEM
		}
	}
	if pem == "" {
		return notSecondary(asked)
	}
	if err := j.mayClaimSignature(ctx, name.domain, asked); err != nil {
		return err
	}
	if alias != "" {
		if name, ok = parseSignerName(alias); !ok {
			return notSecondary(alias)
		}
		if err := j.mayClaimSignature(ctx, name.domain, alias); err != nil {
			return err
		}
	}
	s, err := j.room.signers.of(name, pem)
	if err != nil {
		return err
	}
	j.signers = append(j.signers, s)
	return nil
}

// mayClaimSignature answers a claim that does not stand like one to a domain that does not exist.
func (j *job) mayClaimSignature(ctx context.Context, domain, asked string) error {
	err := j.room.mayAppear(ctx, j.s.Sender, domain, false)
	if e, ok := asError(err); ok && e.reject != "" {
		return notSecondary(asked)
	}
	return err
}

// parseSignerName reads domain/selector.
func parseSignerName(s string) (signerName, bool) {
	domain, selector, _ := strings.Cut(s, "/")
	ascii, err := mail.ParseDomain(strings.TrimSpace(domain))
	selector = strings.ToLower(strings.TrimSpace(selector))
	return signerName{ascii, selector}, err == nil && signing.IsSelector(selector)
}

func notSecondary(value string) *Error {
	return invalid("%s is not a valid secondary dkim domain name", sendopt.Printable(value))
}
