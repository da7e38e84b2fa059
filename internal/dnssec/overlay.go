package dnssec

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A StaticRecord is one record of an [Overlay].
type StaticRecord struct {
	// Name is absolute. With * as its first label it stands for every name below
	// the rest that has no records of its own.
	Name string
	Type Type
	Record
}

// An Overlay answers for every name under its suffix from fixed records, and passes
// all other questions on. It is for laboratories that run the whole program against
// names that do not exist. It is safe for concurrent use.
type Overlay struct {
	next    Resolver
	suffix  string
	secure  bool
	records map[question][]Record
	names   map[string]bool // names that exist, between records and suffix too
}

var _ Resolver = (*Overlay)(nil)

// NewOverlay returns an Overlay in front of next. It answers for suffix itself too;
// names under it that no record mentions do not exist. Its answers, denials
// included, are Secure when secure is set.
func NewOverlay(next Resolver, suffix string, secure bool, records []StaticRecord) (*Overlay, error) {
	cleaned, ok := cleanName(suffix)
	if !ok || cleaned == "" {
		return nil, fmt.Errorf("overlay suffix %q is not a domain name", suffix)
	}
	o := &Overlay{
		next: next, suffix: cleaned, secure: secure,
		records: make(map[question][]Record),
		names:   map[string]bool{cleaned: true},
	}
	for _, r := range records {
		name, ok := cleanName(r.Name)
		if !ok || !isBelow(name, cleaned) {
			return nil, fmt.Errorf("overlay record %q is not under %s", r.Name, cleaned)
		}
		r.Host = foreignName(r.Host)
		q := question{name, r.Type}
		o.records[q] = append(o.records[q], r.Record)
		for ; name != cleaned; _, name, _ = strings.Cut(name, ".") {
			o.names[name] = true
		}
	}
	return o, nil
}

// Lookup implements [Resolver]. It follows aliases, also out of the suffix.
func (o *Overlay) Lookup(ctx context.Context, name string, t Type) Answer {
	cleaned, ok := cleanName(name)
	if !ok || !isBelow(cleaned, o.suffix) {
		return o.next.Lookup(ctx, name, t)
	}
	a := Answer{Name: cleaned, Type: t, Canonical: cleaned, Secure: o.secure, Asked: time.Now()}
	for hops := 0; isBelow(a.Canonical, o.suffix); hops++ {
		if hops > maxAliases {
			f := failed(question{cleaned, t}, &Failure{Reason: AliasLoop})
			f.Canonical = a.Canonical
			return f
		}
		owner, exists := o.owner(a.Canonical)
		if !exists {
			a.State = NXDomain
			return a
		}
		if found := o.records[question{owner, t}]; len(found) > 0 {
			a.State, a.Records = Found, slices.Clone(found)
			return a
		}
		alias := o.records[question{owner, CNAME}]
		if len(alias) == 0 {
			a.State = NoData
			return a
		}
		a.Canonical = alias[0].Host
	}
	outside := o.next.Lookup(ctx, a.Canonical, t)
	outside.Name = a.Name
	outside.Secure = outside.Secure && a.Secure
	return outside
}

// owner returns the name whose records answer for name: itself, or the wildcard of
// its closest encloser (RFC 4592 section 3.3.1).
func (o *Overlay) owner(name string) (string, bool) {
	if o.names[name] {
		return name, true
	}
	for name != o.suffix {
		_, name, _ = strings.Cut(name, ".")
		if o.names[name] {
			return "*." + name, o.names["*."+name]
		}
	}
	return "", false
}
