package mtasts

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/dnssec"
	"github.com/sealpost/sealpost/internal/tlspolicy"
	"github.com/sealpost/sealpost/internal/tlsresult"
)

// fetchInterval is the time between two fetches for one domain at least, whatever
// they gave (RFC 8461 section 3.3 suggests five minutes). A domain whose id changes
// with every look must not make us fetch with every look (SEC-52).
const fetchInterval = 5 * time.Minute

// A publication is what the DNS says about a domain's policy.
type publication uint8

const (
	unknown   publication = iota // we could not find out
	absent                       // no TXT record about MTA-STS
	malformed                    // there is one that does not count, or several
	published                    // one record with an id
)

// A discovery is a publication with its detail.
type discovery struct {
	state publication
	id    string // when published
	err   error  // why not, when unknown or malformed
}

// discover reads the answer to the question for TXT at _mta-sts.<domain>.
func discover(a dnssec.Answer) discovery {
	switch {
	case a.State == dnssec.Failed:
		return discovery{state: unknown, err: a.Err()}
	case a.State.Denied():
		return discovery{state: absent}
	}
	var few [4]string
	texts := few[:0]
	for _, r := range a.Records {
		texts = append(texts, r.Text)
	}
	id, err := ParseRecord(texts)
	switch {
	case errors.Is(err, ErrNoRecord):
		return discovery{state: absent}
	case err != nil:
		return discovery{state: malformed, err: err}
	}
	return discovery{state: published, id: id}
}

// A purpose is why the cache is asked.
type purpose uint8

const (
	forDelivery purpose = iota // what rules now
	forRecheck                 // whether what rules is still what the domain publishes
	forRefresh                 // the same, ahead of expiry
)

// A memory is what is known about one domain between two questions.
type memory struct {
	policy    *Policy        // nil: none; may have expired. Not changed once it is here
	attempted time.Time      // when the latest fetch began; zero: never
	fault     tlsresult.Type // what the latest fetch came to
	err       error          // the same in words
}

// inForce returns the policy that rules at the given time, or nil.
func (m memory) inForce(now time.Time) *Policy {
	if m.policy == nil || !now.Before(m.policy.Expires) {
		return nil
	}
	return m.policy
}

// rests reports whether it is too early to fetch again. A time in the future means
// that the clock was set back.
func (m memory) rests(now time.Time) bool {
	since := now.Sub(m.attempted)
	return since >= 0 && since < fetchInterval
}

// wantsFetch reports whether the policy should be fetched, if it may be.
func wantsFetch(m memory, d discovery, p purpose, now time.Time) bool {
	policy := m.inForce(now)
	switch d.state {
	case published:
		// RFC 8461 section 5.1: an id that is not the cached one says that the policy
		// changed. The other purposes do not rely on the id: it may come from a
		// resolver's memory, or was forgotten to be changed.
		return policy == nil || policy.ID != d.id || p != forDelivery
	case unknown:
		// Who can keep the TXT record from us must not be able to let a policy run
		// out. The policy host proves itself without the DNS.
		return policy != nil && p != forDelivery
	}
	// RFC 8461 section 3.1: without a record there is no discovery. A domain that took
	// its record away may have left the file behind; fetching it would keep alive what
	// the domain let go.
	return false
}

// errGone is the Err beside a cached policy whose TXT record is no longer there.
var errGone = errors.New("the MTA-STS record is gone; the cached policy holds until it expires")

// errNotYet: there is a record, and no fetch has been made.
var errNotYet = errors.New("the policy has not been fetched yet")

// result says what rules at the given time.
func (m memory) result(d discovery, now time.Time) Result {
	if policy := m.inForce(now); policy != nil {
		r := Result{State: policy.Mode.State(), Policy: *policy, Cached: true, Fault: m.fault, Err: m.err}
		switch {
		case r.Err != nil:
		case d.state == absent:
			r.Err = errGone
		default:
			r.Err = d.err
		}
		return r
	}
	switch d.state {
	case published:
		r := Result{State: tlspolicy.STSNoFetch, Fault: m.fault, Err: m.err}
		if r.Err == nil {
			r.Err = errNotYet
		}
		return r
	case unknown:
		// RFC 8461 section 3.3: as though the domain had no policy. There is no fault to
		// report: nothing says that it has one.
		return Result{State: tlspolicy.STSNoFetch, Err: d.err}
	}
	return Result{State: tlspolicy.STSNoPolicy, Err: d.err}
}

// fetched is what is known after a successful fetch.
//
// A policy always lives for the time in which it may not be fetched again.
// Otherwise one with a max_age of 0 would rule a single delivery and leave those
// right after it without protection.
func (m memory) fetched(p Policy, d discovery, now time.Time) memory {
	p.ID = d.id
	if d.state != published && m.policy != nil {
		p.ID = m.policy.ID
	}
	p.Fetched, p.Expires = now, now.Add(max(p.MaxAge, fetchInterval))
	return memory{policy: &p, attempted: m.attempted}
}

// failed is what is known after a fetch that failed: whatever was known before.
func (m memory) failed(err error) memory {
	m.fault, m.err = faultOf(err), inWords(err)
	return m
}

// inWords returns an error that holds nothing but a text of bounded size. The one of a
// certificate that does not verify holds the certificates, and spells out whatever names
// are in them.
func inWords(err error) error {
	if errors.Is(err, errBusy) {
		return err // it is not remembered, and all ours
	}
	const most = 500
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, err.Error())
	if len(text) > most {
		text = text[:most] + "..."
	}
	return errors.New(text)
}

// Times of the refresh ahead of expiry.
const (
	refreshAge   = 24 * time.Hour      // RFC 8461 section 3.3: once per day
	refreshAgain = 6 * time.Hour       // after one that failed
	refreshUsed  = 30 * 24 * time.Hour // domains that got no mail for so long are left to expire
)

// refreshDue reports whether a policy should be fetched again although nobody asks. It
// was last asked for at used. Domains are spread over a quarter of the time,
// so that a start does not tie them together for ever.
func refreshDue(m memory, domain string, used, now time.Time) bool {
	policy := m.inForce(now)
	if policy == nil || policy.Mode == None || now.Sub(used) > refreshUsed {
		return false
	}
	life := policy.Expires.Sub(policy.Fetched)
	age := min(refreshAge, life/2)
	age -= time.Duration(float64(age/4) * spread(domain))
	if now.Sub(policy.Fetched) < age {
		return false
	}
	failed := m.attempted.After(policy.Fetched)
	return !failed || now.Sub(m.attempted) >= min(refreshAgain, life/8)
}

// spread maps a name evenly to [0, 1): FNV-1a.
func spread(s string) float64 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return float64(h) / (1 << 32)
}

// String names the publication in words.
func (p publication) String() string {
	switch p {
	case unknown:
		return "unknown"
	case absent:
		return "absent"
	case malformed:
		return "malformed"
	case published:
		return "published"
	}
	return fmt.Sprintf("publication %d", uint8(p))
}
