package suppression

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/follow"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
)

// BouncesCursor is the name of the position of the follower that finds bounces.
const BouncesCursor = "bounces"

// Bounces returns a follower that adds the addresses that bounced to the bounces of the domains
// that wrote to them.
func Bounces(journal store.Journal, cursors store.Cursors, s store.Suppressions, log *slog.Logger) *follow.Follower {
	effect := func(ctx context.Context, items []store.EventItem, upTo mail.ID) error {
		var found []store.Bounce
		for i := range items {
			if b, ok := bounceOf(&items[i]); ok {
				found = append(found, b)
			}
		}
		n, err := s.PutBounces(ctx, found, BouncesCursor, upTo)
		if err == nil && n > 0 {
			log.InfoContext(ctx, "addresses bounced", "added", n)
		}
		return err
	}
	return follow.New(follow.Config{Name: BouncesCursor, Types: []event.Type{event.FailedPermanent}}, journal, cursors, effect, log)
}

// bounceOf returns the entry that a failure makes, if it makes one: its recipient's own host refused the
// address for good, at the first attempt. What we decided, what the host says about us or about the
// message, and what went on failing until it was too old, is no reason never to write again. How
// much a reply blames the address was decided when the event was written.
func bounceOf(e *store.EventItem) (store.Bounce, bool) {
	st := e.Data.Status
	if e.Type != event.FailedPermanent || st == nil || st.Local || st.AttemptNo != 1 || e.Data.Reason != "bounce" || st.BounceType != "hard" || st.Code < 500 || st.Code > 599 {
		return store.Bounce{}, false
	}
	a, err := mail.ParseAddress(e.Recipient)
	if err != nil {
		return store.Bounce{}, false // of an event that was damaged: ours are always addresses
	}
	text := strings.TrimSpace(st.EnhancedCode + " " + st.Message)
	if len(text) > store.MaxSuppressionText {
		text = strings.ToValidUTF8(text[:store.MaxSuppressionText], "")
	}
	return store.Bounce{DomainID: e.DomainID, Address: a,
		Suppression: store.Suppression{Value: e.Recipient, Code: strconv.Itoa(st.Code), Text: text, Created: e.Time}}, true
}
