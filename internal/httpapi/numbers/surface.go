package numbers

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
	"github.com/sealpost/sealpost/internal/tally"
)

// Config is what the operator sets.
type Config struct {
	// MaxRequests is how many requests an account may make in ten seconds; 0: 500. It concerns
	// the calls about metrics.
	MaxRequests int
}

// requestSpan is the span of time of MaxRequests.
const requestSpan = 10 * time.Second

// A Surface is the group of calls. It is safe for concurrent use.
type Surface struct {
	domains store.Domains
	numbers store.Numbers
	book    *tally.Book
	limit   *door.Limit
}

// New returns the calls.
func New(domains store.Domains, numbers store.Numbers, cfg Config) *Surface {
	return &Surface{domains: domains, numbers: numbers, book: tally.NewBook(numbers), limit: door.NewLimit(cmp.Or(cfg.MaxRequests, 500), requestSpan)}
}

// Routes lists the calls.
func (s *Surface) Routes() []door.Route {
	table := []door.Route{
		door.On("GET", "/v3/stats/total", door.Manage, s.accountTotal),
		door.On("GET", "/v3/stats/total/domains", door.Manage, s.totalDomains),
		door.On("GET", "/v3/stats/filter", door.Manage, s.filterStats),
		door.On("GET", "/v3/{domain}/stats/total", door.Manage, s.domainTotal),
		door.On("GET", "/v3/{domain}/stats", door.Manage, s.oldStats),

		door.On("GET", "/v3/{domain}/tags", door.Manage, s.listTags),
		door.On("GET", "/v3/domains/{domain}/limits/tag", door.Manage, s.tagLimit),
		door.On("POST", "/v1/analytics/tags", door.Look, s.listAccountTags),
		door.On("PUT", "/v1/analytics/tags", door.Manage, s.updateAccountTag),
		door.On("DELETE", "/v1/analytics/tags", door.Manage, s.deleteAccountTag),
		door.On("GET", "/v1/analytics/tags/limits", door.Manage, s.accountTagLimit),

		door.On("POST", "/v1/analytics/metrics", door.Look, s.metrics),
		door.On("POST", "/v1/analytics/usage/metrics", door.Look, s.usageMetrics),
	}
	for _, by := range []grouping{providers, devices, countries} {
		table = append(table,
			door.On("GET", "/v3/{domain}/aggregates/"+by.plural, door.Manage, s.aggregates(by)),
			door.On("GET", "/v3/domains/{domain}/tag/"+by.plural, door.Manage, s.aggregates(by)),
			door.On("GET", "/v3/{domain}/tags/{tag}/stats/aggregates/"+by.plural, door.Manage, s.tagAggregates(by)),
		)
	}
	for _, path := range []string{"/v3/{domain}/tags/{tag}", "/v3/{domain}/tag"} { // one set of handlers: see tagOf
		table = append(table,
			door.On("GET", path, door.Manage, s.showTag),
			door.On("PUT", path, door.Manage, s.updateTag),
			door.On("DELETE", path, door.Manage, s.deleteTag),
			door.On("GET", path+"/stats", door.Manage, s.tagStats),
		)
	}
	return append(table, door.On("GET", "/v3/{domain}/tag/stats/aggregates", door.Manage, s.tagAggregatesByType))
}

// mine returns the domains that the caller may know of. With sub, the primary account's
// callers see those of sub-accounts too.
func (s *Surface) mine(r *door.Request, sub bool) ([]store.Domain, error) {
	all, err := s.domains.ListDomains(r.Context())
	if err != nil {
		return nil, err
	}
	everybody := sub && r.Who.DomainID == 0 && r.Who.AccountID <= store.PrimaryAccount
	return slices.DeleteFunc(all, func(d store.Domain) bool { return !everybody && !r.Who.Owns(&d) }), nil
}

// asked turns what is wrong with a question into an answer for who asked.
func asked(err error) error {
	var combination *tally.CombinationError
	if errors.Is(err, tally.ErrTooMany) || errors.As(err, &combination) {
		return door.BadRequest("%s", err)
	}
	return err
}
