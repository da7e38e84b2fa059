package predicate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/httpapi/predicate"
)

func values(n int) []predicate.Value {
	return slices.Repeat([]predicate.Value{{Value: "x"}}, n)
}

// Each limit, with the last that is allowed.
func TestLimits(t *testing.T) {
	for n, allowed := range map[int]bool{0: false, 1: true, predicate.MaxValues: true, predicate.MaxValues + 1: false} {
		_, err := predicate.Predicate{Values: values(n)}.Comparison("tag")
		if (err == nil) != allowed || err != nil && !strings.Contains(err.Error(), "'tag' filter predicate must have 1 to 100 values") {
			t.Errorf("%d values: %v", n, err)
		}
	}
	for n, allowed := range map[int]bool{0: true, predicate.Max: true, predicate.Max + 1: false} {
		if err := (predicate.Filter{AND: make([]predicate.Predicate, n)}).Check(); (err == nil) != allowed {
			t.Errorf("%d predicates: %v", n, err)
		}
	}
}

func TestComparators(t *testing.T) {
	for comparator, want := range map[string]predicate.Comparison{
		"": {}, "=": {}, "!=": {Not: true}, "contains": {Contains: true}, "not contains": {Contains: true, Not: true},
	} {
		c, err := predicate.Predicate{Comparator: comparator, Values: []predicate.Value{{Label: "l"}, {Label: "l", Value: "v"}}}.Comparison("tag")
		if err != nil || c.Not != want.Not || c.Contains != want.Contains || !slices.Equal(c.Values, []string{"l", "v"}) {
			t.Errorf("%q: %+v, %v", comparator, c, err)
		}
	}
	if _, err := (predicate.Predicate{Comparator: ">", Values: values(1)}).Comparison("tag"); err == nil {
		t.Error("an unknown comparator was taken")
	}
}
