package numbers

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/httpapi/predicate"
	"github.com/sealpost/sealpost/internal/tally"
)

const (
	maxDimensions = 3
	maxMetrics    = 50
	// The most items of a page, with the time dimension and without, and how many
	// there are where nothing is said.
	maxTimeItems = 1500
	maxItems     = 1000
	defaultItems = 10
)

// A metricsRequest is the body of both calls about metrics.
type metricsRequest struct {
	Start      string           `json:"start"`
	End        string           `json:"end"`
	Resolution string           `json:"resolution"`
	Duration   string           `json:"duration"`
	Dimensions []string         `json:"dimensions"`
	Metrics    []string         `json:"metrics"`
	Filter     predicate.Filter `json:"filter"`
	Sub        bool             `json:"include_subaccounts"`
	Aggregates bool             `json:"include_aggregates"`
	Pagination pagination       `json:"pagination"`
}

type pagination struct {
	Sort  string `json:"sort"`
	Skip  int    `json:"skip"`
	Limit int    `json:"limit"`
	Total int    `json:"total"`
}

// A metricsQuery is a request that was understood.
type metricsQuery struct {
	metricsRequest
	query   tally.Query
	metrics []tally.Metric
}

// dimensionNamed returns a dimension; usage has two of them.
func dimensionNamed(name string, usage bool) (tally.Dimension, bool) {
	d := tally.Dimension(name)
	switch d {
	case tally.Time, tally.Subaccount:
		return d, true
	case tally.Domain, tally.Tag, tally.RecipientDomain, tally.RecipientProvider, tally.Country, tally.Device, tally.Bot, tally.IP:
		return d, !usage
	}
	return "", false
}

// parse reads the request of a call.
func parse(r *door.Request, usage bool) (*metricsQuery, error) {
	q := &metricsQuery{}
	if err := r.JSON(0, &q.metricsRequest); err != nil {
		return nil, err
	}
	for _, step := range []func() error{
		func() error { return q.setWindow(time.Now()) },
		func() error { return q.setDimensions(usage) },
		func() error { return q.setMetrics(usage) },
		q.setConditions,
		q.setPage,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *metricsQuery) setWindow(now time.Time) error {
	w := &q.query.Window
	var err error
	if w.Resolution, err = tally.ParseResolution(q.Resolution); err != nil {
		return door.BadRequest("'resolution' attribute is invalid")
	}
	w.End = now.UTC()
	if q.End != "" {
		if w.End, err = door.ParseDate(q.End); err != nil {
			return door.BadRequest("'end' attribute is invalid: %s", err)
		}
	}
	w.Start = w.End.AddDate(0, 0, -sinceDays)
	switch {
	case q.Duration != "":
		if w.Start, err = door.ParseSpan(q.Duration, w.End); err != nil {
			return door.BadRequest("'duration' attribute is invalid")
		}
	case q.Start != "":
		if w.Start, err = door.ParseDate(q.Start); err != nil {
			return door.BadRequest("'start' attribute is invalid: %s", err)
		}
	}
	if w.Start.After(w.End) {
		return door.BadRequest("'start' attribute is invalid: it must not be after 'end'")
	}
	return nil
}

func (q *metricsQuery) setDimensions(usage bool) error {
	if len(q.Dimensions) > maxDimensions {
		return door.BadRequest("'dimensions' attribute is invalid: at most %d are allowed", maxDimensions)
	}
	for _, name := range q.Dimensions {
		d, ok := dimensionNamed(name, usage)
		if !ok || slices.Contains(q.query.Dimensions, d) {
			return door.BadRequest("'%s' is not a valid dimension", door.Shown(name))
		}
		q.query.Dimensions = append(q.query.Dimensions, d)
	}
	return nil
}

func (q *metricsQuery) setMetrics(usage bool) error {
	if len(q.Metrics) > maxMetrics {
		return door.BadRequest("'metrics' attribute is invalid: at most %d are allowed", maxMetrics)
	}
	if usage {
		return q.checkUsage()
	}
	for _, name := range q.Metrics {
		m, ok := tally.MetricNamed(name)
		if !ok {
			return door.BadRequest("'%s' is not a valid metric", door.Shown(name))
		}
		q.metrics = append(q.metrics, m)
	}
	if len(q.metrics) == 0 {
		q.metrics = tally.Metrics()
	}
	return nil
}

// checkUsage checks the metrics of usage. All but one of them are of services that we do not have.
func (q *metricsQuery) checkUsage() error {
	for _, name := range q.Metrics {
		if !slices.Contains(usageNames, name) {
			return door.BadRequest("'%s' is not a valid metric", door.Shown(name))
		}
	}
	if len(q.Metrics) == 0 {
		q.Metrics = usageNames
	}
	return nil
}

// usageNames are the metrics of usage.
var usageNames = []string{
	"processed_count", "email_validation_count", "email_validation_public_count", "email_validation_valid_count", "email_validation_single_count",
	"email_validation_bulk_count", "email_validation_list_count", "email_validation_mailgun_count", "email_validation_mailjet_count",
	"email_preview_count", "email_preview_failed_count", "link_validation_count", "link_validation_failed_count", "seed_test_count",
	"accessibility_count", "accessibility_failed_count", "image_validation_count", "image_validation_failed_count", "archived_count",
}

func (q *metricsQuery) setConditions() error {
	if err := q.Filter.Check(); err != nil {
		return err
	}
	for _, p := range q.Filter.AND {
		d, ok := dimensionNamed(p.Attribute, false)
		if !ok || d == tally.Time {
			return p.BadAttribute()
		}
		c, err := p.Comparison(p.Attribute)
		if err != nil {
			return err
		}
		condition := tally.Condition{Dimension: d, Not: c.Not, Contains: c.Contains}
		for _, v := range c.Values {
			condition.Values = append(condition.Values, strings.TrimSpace(v))
		}
		q.query.Conditions = append(q.query.Conditions, condition)
	}
	return nil
}

func (q *metricsQuery) setPage() error {
	p := &q.Pagination
	most, otherwise := maxItems, defaultItems
	if slices.Contains(q.query.Dimensions, tally.Time) {
		most, otherwise = maxTimeItems, maxTimeItems
	}
	if p.Skip < 0 || p.Limit < 0 || p.Limit > most {
		return door.BadRequest("'pagination' attribute is invalid: skip must not be negative, and limit is at most %d", most)
	}
	p.Limit = cmp.Or(p.Limit, otherwise)
	if _, ok := q.order(); !ok {
		return door.BadRequest("'sort' attribute is invalid")
	}
	return nil
}

// order returns the order of rows; nil is the one they have.
func (q *metricsQuery) order() (func(a, b tally.Row) int, bool) {
	column, direction, _ := strings.Cut(q.Pagination.Sort, ":")
	sign := 1
	switch direction {
	case "", "asc":
	case "desc":
		sign = -1
	default:
		return nil, false
	}
	if q.Pagination.Sort == "" {
		return nil, true
	}
	if i := slices.Index(q.Dimensions, column); i >= 0 {
		return func(a, b tally.Row) int {
			if column == string(tally.Time) {
				return sign * a.Bucket.Compare(b.Bucket)
			}
			return sign * cmp.Compare(a.Values[i].Key, b.Values[i].Key)
		}, true
	}
	if m, ok := tally.MetricNamed(column); ok {
		return func(a, b tally.Row) int { return sign * cmp.Compare(m.Value(&a.Sums), m.Value(&b.Sums)) }, true
	}
	return nil, false
}

type dimensionValue struct {
	Dimension string `json:"dimension"`
	Value     string `json:"value"`
	Display   string `json:"display_value"`
}

type metricsItem struct {
	Dimensions []dimensionValue `json:"dimensions"`
	Metrics    map[string]any   `json:"metrics"`
}

// metrics answers with metrics of mail by up to three dimensions.
func (s *Surface) metrics(w http.ResponseWriter, r *door.Request) error {
	if err := s.limit.Count(w, r); err != nil {
		return err
	}
	q, err := parse(r, false)
	if err != nil {
		return err
	}
	return s.answer(w, r, q, func(sums *tally.Sums) map[string]any {
		m := make(map[string]any, len(q.metrics))
		for _, metric := range q.metrics {
			m[metric.Name] = metric.JSON(sums)
		}
		return m
	})
}

// usageMetrics answers with metrics of an account's use of services. All but processed_count are of
// services that this server does not have, and 0.
func (s *Surface) usageMetrics(w http.ResponseWriter, r *door.Request) error {
	if err := s.limit.Count(w, r); err != nil {
		return err
	}
	q, err := parse(r, true)
	if err != nil {
		return err
	}
	return s.answer(w, r, q, func(sums *tally.Sums) map[string]any {
		m := make(map[string]any, len(q.Metrics))
		for _, name := range q.Metrics {
			m[name] = int64(0)
		}
		if _, ok := m["processed_count"]; ok {
			m["processed_count"] = sums.Processed()
		}
		return m
	})
}

// answer finds the rows of a query and shows a page of them.
func (s *Surface) answer(w http.ResponseWriter, r *door.Request, q *metricsQuery, show func(*tally.Sums) map[string]any) error {
	var err error
	if q.query.Domains, err = s.mine(r, q.Sub); err != nil {
		return err
	}
	rows, err := s.book.Rows(r.Context(), q.query)
	if err != nil {
		return asked(err)
	}
	if order, _ := q.order(); order != nil {
		slices.SortStableFunc(rows, order)
	}
	q.Pagination.Total = len(rows)
	items := []metricsItem{}
	for _, row := range cut(rows, q.Pagination.Skip, q.Pagination.Limit) {
		items = append(items, metricsItem{dimensionsOf(q, &row), show(&row.Sums)})
	}
	aggregates := map[string]any{}
	if q.Aggregates {
		aggregates = show(sumOf(rows))
	}
	win := q.query.Window
	return door.Reply(w, map[string]any{
		"start": door.PlusZero(win.Start), "end": door.PlusZero(win.End), "resolution": win.Resolution, "duration": cmp.Or(q.Duration, win.Duration()),
		"dimensions": emptyNotNull(q.Dimensions), "pagination": q.Pagination, "items": items,
		"aggregates": map[string]any{"metrics": aggregates},
	})
}

func dimensionsOf(q *metricsQuery, row *tally.Row) []dimensionValue {
	list := make([]dimensionValue, len(q.query.Dimensions))
	for i, d := range q.query.Dimensions {
		v := dimensionValue{string(d), row.Values[i].Shown, row.Values[i].Shown}
		if d == tally.Time {
			v.Value = door.PlusZero(row.Bucket)
			v.Display = v.Value
		}
		list[i] = v
	}
	return list
}

// sumOf returns the sums of all rows.
func sumOf(rows []tally.Row) *tally.Sums {
	all := &tally.Sums{}
	for i := range rows {
		for c, n := range rows[i].Sums {
			all[c] += n
		}
	}
	return all
}

func emptyNotNull(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
