package door

import (
	"unicode"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/store"
)

// maxReason is the length of a reason in characters.
const maxReason = 500

// Actor names who calls as the audit log has it. The description is shown beside
// the id because people remember it; the id is what counts.
func (p Principal) Actor() string {
	switch {
	case p.KeyID == "":
		return store.ActorOperator
	case p.Description == "":
		return "key " + p.KeyID
	}
	return "key " + p.KeyID + " (" + Shown(p.Description) + ")"
}

// note makes what the request changes known to the audit log as the caller's doing.
func (r *Request) note() {
	r.Change = &store.Change{Actor: r.Who.Actor()}
	r.Request = r.WithContext(store.WithChange(r.Context(), r.Change))
}

// Reason reads the reason that every call which changes something may give, and
// hands it to the audit log.
func (r *Request) Reason(p Params) error {
	s := p.Get("reason")
	if utf8.RuneCountInString(s) > maxReason {
		return BadRequest("'reason' parameter is longer than %d characters", maxReason)
	}
	if !utf8.ValidString(s) || containsControl(s) {
		return BadRequest("'reason' parameter must be text on one line")
	}
	r.Change.Reason = s
	return nil
}

func containsControl(s string) bool {
	for _, c := range s {
		if unicode.IsControl(c) {
			return true
		}
	}
	return false
}

// ReasonOnly is Reason for calls that have no other parameters.
func (r *Request) ReasonOnly() error {
	p, err := r.Params()
	if err != nil {
		return err
	}
	return r.Reason(p)
}
