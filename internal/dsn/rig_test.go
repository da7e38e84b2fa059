package dsn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/accept"
	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/store/sqlite"
)

// A rig is a store on disk, the room behind the doors, and the last follower.
type rig struct {
	testing.TB
	dir, spool string
	store      *sqlite.Store
	room       *accept.Room
	log        *strings.Builder
	logMu      sync.Mutex
}

const sending = "sender.test"

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{TB: t, dir: t.TempDir(), spool: t.TempDir(), log: &strings.Builder{}}
	r.open()
	t.Cleanup(func() { _ = r.store.Close() })
	d := store.Domain{Name: sending, State: store.DomainActive}
	r.must(r.store.CreateDomain(t.Context(), &d))
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) open() {
	r.Helper()
	var err error
	r.store, err = sqlite.Open(r.Context(), sqlite.Options{Dir: r.dir, MinFree: -1})
	r.must(err)
	r.room = accept.New(accept.Config{Hostname: "mail.server.test", SpoolDir: r.spool, Lists: r.store}, r.store, r.store, nil, r.logger())
}

// restart ends the process and starts it anew, as far as this package can tell.
func (r *rig) restart() {
	r.Helper()
	r.must(r.store.Close())
	r.open()
}

func (r *rig) Write(p []byte) (int, error) {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.Write(p)
}

func (r *rig) logged() string {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.String()
}

func (r *rig) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// follower returns a follower on the rig's store, and lets changes have their way with its roles.
func (r *rig) follower(change ...func(*Roles)) *Follower {
	roles := Roles{Journal: r.store, Events: r.store, Messages: r.store, Cursors: r.store, Door: r.room}
	for _, c := range change {
		c(&roles)
	}
	return New(Config{Hostname: "mail.server.test"}, roles, r.logger())
}

// started returns a follower that has found its place.
func (r *rig) started() *Follower {
	r.Helper()
	f := r.follower()
	r.catchUp(f)
	return f
}

// catchUp lets the follower read to the end of the log.
func (r *rig) catchUp(f *Follower) {
	r.Helper()
	for {
		more, err := f.step(r.Context())
		r.must(err)
		if !more {
			return
		}
	}
}

const content = "From: Bob <bob@sender.test>\r\nTo: ann@one.test\r\nSubject: The plan\r\n\r\nSECRET\r\n"

// submission is a message by SMTP with REQUIRETLS.
func submission(to ...string) accept.Submission {
	s := accept.Submission{
		Sender:      accept.Sender{Door: accept.SMTP, Domain: sending, Authenticated: true, Protocol: "ESMTPSA"},
		ReversePath: mail.Address{Local: "bob", Domain: sending}, Raw: strings.NewReader(content), RequireTLS: true,
	}
	for _, a := range to {
		local, domain, _ := strings.Cut(a, "@")
		s.Recipients = append(s.Recipients, mail.Address{Local: local, Domain: domain})
	}
	return s
}

func (r *rig) accept(s accept.Submission) mail.ID {
	r.Helper()
	receipt, err := r.room.Accept(r.Context(), s)
	r.must(err)
	return receipt.ID
}

// settle ends an attempt for every row of a next hop; code says how. It returns how many there were.
func (r *rig) settle(nextHop string, code int, text string) int {
	r.Helper()
	leased, err := r.store.Lease(r.Context(), store.LeaseRequest{NextHop: nextHop, Now: time.Now().Add(time.Hour), Limit: 1000})
	r.must(err)
	outcomes := map[mail.ID]*store.Outcome{}
	host := "mx." + nextHop
	for _, row := range leased.Rows {
		o := outcomes[row.Message]
		if o == nil {
			o = &store.Outcome{Message: row.Message, DomainID: row.DomainID}
			outcomes[row.Message] = o
		}
		kind := event.FailedPermanent
		if code < 300 {
			kind = event.Delivered
		}
		o.Rows = append(o.Rows, store.RowOutcome{Row: row.ID, Lease: row.Lease, Final: true, Event: &event.Record{
			Type: kind, Recipient: row.Recipient.String(),
			Data: event.Data{Reason: "bounce", Status: &event.Status{AttemptNo: 1, Code: code, Message: text, MXHost: &host}},
		}})
	}
	for _, o := range outcomes {
		lost, err := r.store.Settle(r.Context(), *o)
		r.must(err)
		if len(lost) > 0 {
			r.Fatal("leases were lost")
		}
	}
	return len(leased.Rows)
}

// A sent notice is one that the room has accepted.
type sent struct {
	store.Message
	parsed
	octets []byte
}

// notices returns the notices that are queued for the sender, and takes them off the queue.
func (r *rig) notices() []sent {
	r.Helper()
	leased, err := r.store.Lease(r.Context(), store.LeaseRequest{NextHop: sending, Now: time.Now().Add(time.Hour), Limit: 1000})
	r.must(err)
	var list []sent
	for _, row := range leased.Rows {
		m := leased.Messages[row.Message]
		octets := r.content(m)
		list = append(list, sent{Message: m, parsed: parse(r, octets), octets: octets})
	}
	return list
}

func (r *rig) content(m store.Message) []byte {
	r.Helper()
	c, err := r.store.Content(r.Context(), m.DomainID, m.ID)
	r.must(err)
	rc, err := c.Open()
	r.must(err)
	defer rc.Close()
	octets, err := io.ReadAll(rc)
	r.must(err)
	return octets
}

// failed lists the recipients that a notice tells of.
func (s *sent) failed() string {
	var list []string
	for _, h := range s.fields[1:] {
		list = append(list, strings.TrimPrefix(h.Get("Final-Recipient"), "rfc822; "))
	}
	return strings.Join(list, " ")
}

// A saboteur makes some calls of a follower fail, before or after they had their effect.
type saboteur struct {
	fails []int // numbers of calls, from 1
	after bool
	calls int
}

var errSabotage = errors.New("sabotage")

// call makes one call.
func (s *saboteur) call(f func() error) error {
	s.calls++
	if !slices.Contains(s.fails, s.calls) {
		return f()
	}
	if s.after {
		if err := f(); err != nil {
			return err
		}
	}
	return errSabotage
}

type sabotagedCursors struct {
	store.Cursors
	s *saboteur
}

func (c sabotagedCursors) SetCursor(ctx context.Context, name string, position mail.ID) error {
	return c.s.call(func() error { return c.Cursors.SetCursor(ctx, name, position) })
}

type sabotagedDoor struct {
	Acceptor
	s *saboteur
}

func (d sabotagedDoor) Accept(ctx context.Context, s accept.Submission) (r accept.Receipt, err error) {
	octets, err := io.ReadAll(s.Raw)
	if err != nil {
		return r, err
	}
	s.Raw = bytes.NewReader(octets)
	err = d.s.call(func() error {
		r, err = d.Acceptor.Accept(ctx, s)
		return err
	})
	return r, err
}
