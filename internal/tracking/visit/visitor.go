package visit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/event"
	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tracking"
	"github.com/sealpost/sealpost/internal/tracking/agent"
)

// Errors of visits.
var (
	// ErrNoLink: it is not a link of ours, or not under this name.
	ErrNoLink = errors.New("no such link")
	// ErrTooMany: the client has tried too many links that are none.
	ErrTooMany = errors.New("too many links that do not exist")
)

// recordFor bounds how long a visitor waits for the log.
const recordFor = 2 * time.Second

// Limits on what visits cause.
const (
	falseBurst = 60 // links that do not exist, per client (of IPv6: per /64)
	falseEvery = time.Second

	eventBurst = 20 // events of one kind, per message
	eventEvery = 30 * time.Second
)

// A Suppressor keeps who wants no more mail of a domain.
type Suppressor interface {
	// AddUnsubscribe suppresses mail of the domain with the tag to the address; the tag * means all
	// mail. Adding what is there changes nothing.
	AddUnsubscribe(ctx context.Context, domainID int64, address, tag string) error
}

// AllMail is the tag that stands for all mail of a domain.
const AllMail = "*"

// Domains finds sending domains, as store.Domains does.
type Domains interface {
	Domain(ctx context.Context, name string) (store.Domain, error)
	DomainByID(ctx context.Context, id int64) (store.Domain, error)
}

// Messages finds messages, as store.Messages does.
type Messages interface {
	Message(ctx context.Context, domainID int64, id mail.ID) (store.Message, error)
}

// Roles are the rooms a visitor leads to. All are required.
type Roles struct {
	Domains      Domains
	Messages     Messages
	Events       store.Events
	Recorder     store.Recorder
	Suppressions Suppressor
}

// A Visitor receives visits. It is safe for concurrent use.
type Visitor struct {
	keys  *tracking.Keyring
	hosts tracking.Hosts
	roles Roles
	log   *slog.Logger

	falses *buckets[netip.Prefix]
	events *buckets[eventKey]
}

type eventKey struct {
	message mail.ID
	kind    event.Type
}

// New returns a visitor for links that the keys open.
func New(keys *tracking.Keyring, hosts tracking.Hosts, roles Roles, log *slog.Logger) *Visitor {
	return &Visitor{
		keys: keys, hosts: hosts, roles: roles, log: log,
		falses: newBuckets[netip.Prefix](falseBurst, falseEvery),
		events: newBuckets[eventKey](eventBurst, eventEvery),
	}
}

// A Request is what is known of a visit.
type Request struct {
	Host      string // the name under which we were asked
	Method    string
	UserAgent string
	Purpose   string     // of Sec-Purpose, Purpose or X-Moz
	Client    netip.Addr // invalid: not known
}

// Open notes that the image of a message was loaded.
func (v *Visitor) Open(ctx context.Context, token string, r Request) error {
	l, _, err := v.follow(ctx, token, r, tracking.Open)
	if err != nil {
		return err
	}
	v.note(ctx, l, event.Opened, r)
	return nil
}

// Click notes that a link was followed, and returns where it leads.
func (v *Visitor) Click(ctx context.Context, token string, r Request) (url string, err error) {
	l, _, err := v.follow(ctx, token, r, tracking.Click)
	if err != nil {
		return "", err
	}
	v.note(ctx, l, event.Clicked, r)
	return l.URL, nil
}

// A Wish is what a link to unsubscribe asks for.
type Wish struct {
	Domain    string   // whose mail
	Recipient string   // who gets it
	Tags      []string // which mail; none: all of it
}

// Wish returns what a link to unsubscribe asks for. It changes nothing: programs follow links.
func (v *Visitor) Wish(ctx context.Context, token string, r Request) (Wish, error) {
	l, d, err := v.follow(ctx, token, r, tracking.Unsubscribe, tracking.UnsubscribeTags)
	if err != nil {
		return Wish{}, err
	}
	return Wish{d.Name, l.Recipient, l.Tags}, nil
}

// Unsubscribe does what the link asks for. When it returns nil, it is on disk.
func (v *Visitor) Unsubscribe(ctx context.Context, token string, r Request) (Wish, error) {
	l, d, err := v.follow(ctx, token, r, tracking.Unsubscribe, tracking.UnsubscribeTags)
	if err != nil {
		return Wish{}, err
	}
	tags := l.Tags
	if len(tags) == 0 {
		tags = []string{AllMail}
	}
	for _, tag := range tags {
		if err := v.roles.Suppressions.AddUnsubscribe(ctx, l.DomainID, l.Recipient, tag); err != nil {
			return Wish{}, fmt.Errorf("unsubscribe from %s: %w", d.Name, err)
		}
	}
	v.note(ctx, l, event.Unsubscribed, r)
	return Wish{d.Name, l.Recipient, l.Tags}, nil
}

// follow reads a link. It must be of one of the kinds, and its domain must be one that has links under
// the name that was asked for.
func (v *Visitor) follow(ctx context.Context, token string, r Request, kinds ...tracking.Kind) (tracking.Link, store.Domain, error) {
	client := network(r.Client)
	now := time.Now()
	if !v.falses.has(client, now) {
		return tracking.Link{}, store.Domain{}, ErrTooMany
	}
	l, ok := v.keys.Open(token)
	for _, k := range kinds {
		if !ok || l.Kind != k {
			continue
		}
		d, err := v.roles.Domains.DomainByID(ctx, l.DomainID)
		foreign := false
		if err == nil {
			foreign, err = v.foreign(ctx, &d, tracking.HostName(r.Host))
		}
		if errors.Is(err, store.ErrNotFound) || foreign {
			break
		}
		if err != nil {
			return tracking.Link{}, store.Domain{}, fmt.Errorf("find domain of link: %w", err)
		}
		return l, d, nil
	}
	v.falses.take(client, now)
	return tracking.Link{}, store.Domain{}, ErrNoLink
}

// foreign reports whether the host is another domain's: whoever has a name answers for where links under it
// lead. Names that are nobody's are such that a proxy uses for us, or that somebody gave us without
// asking.
func (v *Visitor) foreign(ctx context.Context, d *store.Domain, host string) (bool, error) {
	if v.hosts.Own(host) || host == d.TrackingHost() {
		return false, nil
	}
	for name, ok := host, true; ok; _, name, ok = strings.Cut(name, ".") {
		switch owner, err := v.roles.Domains.Domain(ctx, name); {
		case err == nil:
			return owner.ID != d.ID, nil
		case !errors.Is(err, store.ErrNotFound):
			return false, err
		}
	}
	return false, nil
}

// network is whom a client's address stands for.
func network(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // of an invalid address: the zero prefix, for all of them
	return p
}

// note records an event, unless its message is forgotten or has too many.
func (v *Visitor) note(ctx context.Context, l tracking.Link, kind event.Type, r Request) {
	// A visitor that goes away has still been here.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordFor)
	defer cancel()
	if err := v.record(ctx, l, kind, r); err != nil && !errors.Is(err, store.ErrNotFound) {
		v.log.WarnContext(ctx, "visit not recorded", "event", kind.String(), "message", l.Message.String(), "error", err)
	}
}

func (v *Visitor) record(ctx context.Context, l tracking.Link, kind event.Type, r Request) error {
	m, err := v.roles.Messages.Message(ctx, l.DomainID, l.Message)
	if err != nil {
		return err
	}
	if !v.events.take(eventKey{l.Message, kind}, time.Now()) {
		return nil
	}
	since, err := v.sinceDelivery(ctx, l)
	if err != nil {
		return err
	}
	info := agent.Classify(agent.Visit{
		UserAgent: r.UserAgent, Method: r.Method, Purpose: r.Purpose, Click: kind == event.Clicked, SinceDelivery: since,
	})
	if kind == event.Unsubscribed {
		info.Bot = "" // a POST is meant, whoever's program makes it (RFC 8058 section 3.2)
	}
	visit := &event.Visit{URL: l.URL, Client: info}
	if r.Client.IsValid() {
		visit.IP = r.Client.String()
	}
	rec := event.Record{Type: kind, DomainID: l.DomainID, Message: l.Message, Recipient: recipientOf(&m), Data: event.Data{Visit: visit}}
	return v.roles.Recorder.Record(ctx, &rec)
}

// recipientOf returns whose letter a tracked message is: it has one recipient.
func recipientOf(m *store.Message) string {
	if len(m.Meta.Recipients) == 0 {
		return ""
	}
	return m.Meta.Recipients[0]
}

// sinceDelivery returns how long ago the message was delivered; zero if it was not yet: then the one who looks at
// it now is the server that is about to take it.
func (v *Visitor) sinceDelivery(ctx context.Context, l tracking.Link) (time.Duration, error) {
	page, err := v.roles.Events.Events(ctx, store.EventQuery{
		DomainID: l.DomainID, Message: l.Message, Types: []event.Type{event.Delivered}, Ascending: true, Limit: 1,
	})
	if err != nil || len(page.Items) == 0 {
		return 0, err
	}
	return max(0, time.Since(page.Items[0].Time)), nil
}
