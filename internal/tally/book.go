package tally

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// A Dimension is what the rows of an answer are told apart by.
type Dimension string

const (
	Time              Dimension = "time"
	Domain            Dimension = "domain"
	Subaccount        Dimension = "subaccount"
	Tag               Dimension = "tag"
	RecipientDomain   Dimension = "recipient_domain"
	RecipientProvider Dimension = "recipient_provider"
	Country           Dimension = "country"
	Device            Dimension = "device"
	Bot               Dimension = "bot"
	IP                Dimension = "ip"
)

// views are the dimensions that have series, and what the series of both together are.
var views = [...]struct {
	first, second Dimension
	view          store.View
}{
	{"", "", store.ViewAll},
	{Tag, "", store.ViewTag},
	{RecipientDomain, "", store.ViewRecipientDomain},
	{RecipientProvider, "", store.ViewProvider},
	{Country, "", store.ViewCountry},
	{Device, "", store.ViewDevice},
	{Bot, "", store.ViewBot},
	{IP, "", store.ViewIP},
	{Tag, RecipientProvider, store.ViewTagProvider},
	{Tag, Country, store.ViewTagCountry},
	{Tag, Device, store.ViewTagDevice},
}

// ErrTooMany is the answer to a question with too many rows.
var ErrTooMany = errors.New("the answer has too many rows: ask for less time, fewer dimensions, or one tag or domain")

// maxRows bounds the rows of an answer before they are cut into pages.
const maxRows = 200_000

// A CombinationError tells of dimensions that are not counted together.
type CombinationError struct{ Dimensions []Dimension }

// Error names the dimensions.
func (e *CombinationError) Error() string {
	names := make([]string, len(e.Dimensions))
	for i, d := range e.Dimensions {
		names[i] = "'" + string(d) + "'"
	}
	return "events are not counted by " + strings.Join(names, " and ") + " together"
}

// A Condition is one of a query, on a dimension other than time. All must hold.
type Condition struct {
	Dimension Dimension
	Not       bool // what follows must not hold
	Contains  bool // the value contains one of Values; else it is one of them
	Values    []string
}

// holds reports whether the condition does, for a value as it is compared.
func (c *Condition) holds(value string) bool {
	found := slices.ContainsFunc(c.Values, func(v string) bool {
		v = strings.ToLower(v)
		return v == value || c.Contains && strings.Contains(value, v)
	})
	return found != c.Not
}

// A Query asks for sums.
type Query struct {
	// Domains are those that the asker may know of.
	Domains    []store.Domain
	Dimensions []Dimension
	Conditions []Condition
	Window     Window
}

// A Row is an answer for one value of every dimension.
type Row struct {
	// Values has one for each dimension of the query. Times are in Bucket.
	Values []Value
	Bucket time.Time // zero without the time dimension
	Sums   Sums
}

// A Value is one of a dimension: as it is compared, and as people know it.
type Value struct{ Key, Shown string }

// A Book answers questions about numbers from counters. It is safe for concurrent use.
type Book struct{ numbers store.Numbers }

// NewBook returns a book of the counters.
func NewBook(numbers store.Numbers) *Book { return &Book{numbers} }

// A plan is a query as the store can answer it.
type plan struct {
	q       Query
	first   Dimension // that the series' names are of; empty if none
	second  Dimension
	domains map[int64]*store.Domain
	where   []Condition // on the series' names
}

// Rows returns the sums that are not all zero, in the order of their values. Errors of the
// asker's making are ErrTooMany and *[CombinationError].
func (b *Book) Rows(ctx context.Context, q Query) ([]Row, error) {
	p, sums, err := planOf(q)
	if err != nil {
		return nil, err
	}
	rows := map[string]*Row{}
	err = b.numbers.Sums(ctx, sums, func(s store.Sum) error {
		if int(s.Counter) >= counters || !p.wants(s.Key) {
			return nil
		}
		key, row := p.row(&s)
		have := rows[key]
		if have == nil {
			if len(rows) == maxRows {
				return ErrTooMany
			}
			have = row
			rows[key] = have
		}
		have.Sums[s.Counter] += s.N
		return nil
	})
	if err != nil {
		if errors.Is(err, ErrTooMany) {
			return nil, err
		}
		return nil, fmt.Errorf("read counters: %w", err)
	}
	list := make([]Row, 0, len(rows))
	for _, key := range slices.Sorted(maps.Keys(rows)) {
		list = append(list, *rows[key])
	}
	slices.SortStableFunc(list, compareRows)
	return list, nil
}

func compareRows(a, b Row) int {
	if c := a.Bucket.Compare(b.Bucket); c != 0 {
		return c
	}
	return slices.CompareFunc(a.Values, b.Values, func(x, y Value) int { return cmp.Compare(x.Key, y.Key) })
}

// planOf finds the view that has what a query asks for.
func planOf(q Query) (*plan, store.SumQuery, error) {
	p := &plan{q: q, domains: map[int64]*store.Domain{}}
	from, to := q.Window.hours()
	sums := store.SumQuery{From: from, To: to}
	var named []Dimension
	need := func(d Dimension) {
		if d != Time && d != Domain && d != Subaccount && !slices.Contains(named, d) {
			named = append(named, d)
		}
	}
	for _, d := range q.Dimensions {
		need(d)
		if d == Time {
			sums.Step = q.Window.Resolution.step()
		}
	}
	for _, c := range q.Conditions {
		need(c.Dimension)
		if c.Dimension != Domain && c.Dimension != Subaccount {
			p.where = append(p.where, c)
		}
	}
	view := slices.IndexFunc(views[:], func(v struct {
		first, second Dimension
		view          store.View
	}) bool {
		n := 0
		for _, d := range []Dimension{v.first, v.second} {
			if d != "" {
				n++
			}
		}
		return n == len(named) && (n < 1 || slices.Contains(named, v.first)) && (n < 2 || slices.Contains(named, v.second))
	})
	if view < 0 {
		return nil, sums, &CombinationError{named}
	}
	p.first, p.second, sums.View = views[view].first, views[view].second, views[view].view
	sums.Names, sums.Seconds = p.exact(p.first), p.exact(p.second)
	for i := range q.Domains {
		if d := &q.Domains[i]; wantsDomain(q.Conditions, d) {
			p.domains[d.ID] = d
			sums.Domains = append(sums.Domains, d.ID)
		}
	}
	return p, sums, nil
}

// exact returns the only values that a dimension can have by its first condition that names
// them; nil if there is none.
func (p *plan) exact(d Dimension) []string {
	for _, c := range p.where {
		if c.Dimension == d && !c.Not && !c.Contains && len(c.Values) <= 100 {
			names := make([]string, len(c.Values))
			for i, v := range c.Values {
				names[i] = keyOf(d, v)
			}
			return names
		}
	}
	return nil
}

// keyOf returns a value of a condition as series are named.
func keyOf(d Dimension, value string) string {
	switch d {
	case Country:
		return value
	case RecipientProvider:
		return ProviderKey(value)
	}
	return strings.ToLower(value)
}

// ProviderKey returns the key of a provider that is named as people know it, or by its domain.
func ProviderKey(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, key := range []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com", "aol.com", "gmx.net", "yandex.com", "proton.me", "fastmail.com",
		"t-online.de", "comcast.net", "orange.fr", "qq.com", "163.com", "zoho.com", "tuta.com"} {
		if name == strings.ToLower(ProviderName(key)) {
			return key
		}
	}
	return name
}

func wantsDomain(conditions []Condition, d *store.Domain) bool {
	for i := range conditions {
		c := &conditions[i]
		switch c.Dimension {
		case Domain:
			if !c.holds(d.Name) {
				return false
			}
		case Subaccount:
			if !c.holds(strconv.FormatInt(d.AccountID, 10)) {
				return false
			}
		}
	}
	return true
}

// wants applies the conditions on the series' names.
func (p *plan) wants(key store.SeriesKey) bool {
	for i := range p.where {
		c := &p.where[i]
		name := key.Name
		if c.Dimension == p.second {
			name = key.Second
		}
		if c.Dimension == RecipientProvider && !c.Contains { // named in one of two ways
			is := slices.ContainsFunc(c.Values, func(v string) bool { return ProviderKey(v) == name })
			if is == c.Not {
				return false
			}
			continue
		}
		if !c.holds(strings.ToLower(name)) {
			return false
		}
	}
	return true
}

// row returns the row that a sum belongs to, with a key that only sums of this row have.
func (p *plan) row(s *store.Sum) (string, *Row) {
	r := &Row{Values: make([]Value, len(p.q.Dimensions))}
	d := p.domains[s.Key.DomainID]
	for i, dim := range p.q.Dimensions {
		v := &r.Values[i]
		switch dim {
		case Time:
			r.Bucket = p.q.Window.Resolution.Floor(time.Unix(s.Hour*3600, 0))
			v.Key = strconv.FormatInt(r.Bucket.Unix(), 10)
		case Domain:
			*v = Value{d.Name, d.Name}
		case Subaccount:
			id := strconv.FormatInt(d.AccountID, 10)
			*v = Value{id, id}
		case p.first:
			*v = Value{s.Key.Name, shown(dim, s.Key.Name, s.Shown)}
		case p.second:
			*v = Value{s.Key.Second, shown(dim, s.Key.Second, s.Key.Second)}
		}
	}
	var key strings.Builder
	for _, v := range r.Values {
		key.WriteString(strconv.Quote(v.Key))
	}
	return key.String(), r
}

func shown(d Dimension, key, written string) string {
	if d == RecipientProvider {
		return ProviderName(key)
	}
	return cmp.Or(written, key)
}
