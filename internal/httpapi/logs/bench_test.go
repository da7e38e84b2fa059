package logs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
)

// One page of many events, as Ghost asks for it, and of all domains.
func BenchmarkPage(b *testing.B) {
	var many []string
	for i := range 30 {
		many = append(many, fmt.Sprintf("d%d.example", i))
	}
	rg := newLimitedRig(b, 1<<30, many...)
	var kinds []event.Type
	for range 50 {
		kinds = append(kinds, event.Accepted, event.Delivered)
	}
	for i := range 500 { // 50,000 events, a fifth of them of one domain
		name := "example.com"
		if i%5 != 0 {
			name = many[i%30]
		}
		rg.mail(b, name, "ann@example.net", []string{"bulk-email", "ghost-email"}, kinds...)
	}
	for name, body := range map[string]string{
		"Ghost": `{"events":["delivered","opened","failed"],"filter":{"AND":[{"attribute":"domain","comparator":"=","values":[{"value":"example.com"}]},
			{"attribute":"tag","comparator":"=","values":[{"value":"bulk-email"}]},{"attribute":"tag","comparator":"=","values":[{"value":"ghost-email"}]}]},"pagination":{"sort":"timestamp:asc"}}`,
		"all domains":  `{}`,
		"some domains": `{"filter":{"AND":[{"attribute":"domain","comparator":"contains","values":[{"value":"d1"}]}]}}`,
		"a rare one":   `{"filter":{"AND":[{"attribute":"subject","comparator":"contains","values":[{"value":"nothing"}]}]}}`,
	} {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				if p := rg.ask(b, "admin", body); len(p.Items) != 100 && name != "a rare one" {
					b.Fatalf("%d items", len(p.Items))
				}
			}
		})
	}
}
