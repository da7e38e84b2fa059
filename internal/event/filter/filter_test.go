package filter

import (
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/event"
)

func sample() (*event.Record, *event.Meta) {
	return &event.Record{Type: event.FailedTemporary, Recipient: "Ann@example.net"}, &event.Meta{
		From: `"Bob Brown" <bob@example.com>`, To: "ann@example.net, Dora <dora@example.org>", Subject: "Weekly News: the 3 best",
		Recipients: []string{"ann@example.net", "dora@example.org"}, Tags: []string{"Newsletter", "bulk-email"},
		MessageID: "Mixed.Case@example.com", Size: 12345, Attachments: []event.Attachment{{Filename: "Report 2026.pdf"}},
	}
}

func TestMatch(t *testing.T) {
	cases := []struct {
		field, expr string
		want        bool
	}{
		// exact fields
		{"event", "failed", true}, {"event", "FAILED", true}, {"event", "fail", false}, {"event", "delivered", false},
		{"event", "delivered OR opened OR failed OR unsubscribed OR complained", true}, {"event", "rejected OR delivered", false},
		{"severity", "temporary", true}, {"severity", "permanent", false}, {"severity", "NOT permanent", true},
		{"tags", "newsletter", true}, {"tags", "news", false}, {"tags", "newsletter AND bulk-email", true}, {"tags", "newsletter bulk-email", true},
		{"tags", "newsletter AND x", false}, {"tags", "newsletter OR x", true}, {"tags", "NOT x", true}, {"tags", "newsletter NOT x", true}, {"tags", "newsletter AND NOT bulk-email", false},
		{"recipient", "ann@EXAMPLE.net", true}, {"recipient", "ann", false}, {"recipient", "dora@example.org", false},
		{"recipients", "dora@example.org", true}, {"recipients", "dora@example.org ann@example.net", true}, {"recipients", "x@example.org", false},
		{"message-id", "Mixed.Case@example.com", true}, {"message-id", "<Mixed.Case@example.com>", true}, {"message-id", "mixed.case@example.com", false},
		{"list", "news@example.com", false}, {"list", "NOT news@example.com", true},
		// texts
		{"subject", "weekly", true}, {"subject", "week", false}, {"subject", `"weekly news"`, true}, {"subject", `"news weekly"`, false}, {"subject", "news weekly", true},
		{"subject", "news:", true}, {"subject", "3", true}, {"subject", `""`, true},
		{"from", "bob@example.com", true}, {"from", "ob@example.com", false}, {"from", "example.com", true}, {"from", "brown", true}, {"from", "<bob@example.com>", true},
		{"to", "dora", true}, {"to", "nn@example.net", false}, {"to", "ann@example.ne", false},
		{"attachment", "report", true}, {"attachment", "pdf", true}, {"attachment", "docx", false},
		// numbers
		{"size", "12345", true}, {"size", ">12344", true}, {"size", "> 12345", false}, {"size", "<12346", true}, {"size", ">100 AND <200", false}, {"size", ">100 <20000", true}, {"size", "NOT >100", false},
		// precedence and groups
		{"tags", "x AND y OR newsletter", true}, {"tags", "x AND (y OR newsletter)", false}, {"tags", "NOT x OR y", true}, {"tags", "NOT (x OR newsletter)", false},
		{"tags", "((newsletter))", true}, {"tags", "(x OR newsletter)(bulk-email)", true}, {"tags", "and OR newsletter", true}, {"tags", `"AND" OR newsletter`, true},
		{"tags", "  newsletter\t", true}, {"tags", "", true}, {"tags", " ", true},
	}
	r, m := sample()
	for _, c := range cases {
		f, err := Parse(url.Values{c.field: {c.expr}})
		if err != nil {
			t.Errorf("%s=%s: %v", c.field, c.expr, err)
			continue
		}
		if got := f.Match(r, m); got != c.want {
			t.Errorf("%s=%s: got %v, want %v", c.field, c.expr, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range [][2]string{
		{"event", "("}, {"event", ")"}, {"event", "(a"}, {"event", "a)"}, {"event", "OR"}, {"event", "a OR"}, {"event", "AND a"}, {"event", "a AND"}, {"event", "NOT"}, {"event", "NOT NOT a"},
		{"event", "()"}, {"event", `"open`}, {"event", "a OR OR b"}, {"size", "big"}, {"size", ">"}, {"size", "> <"}, {"size", ">1.5"}, {"size", "99999999999999999999"},
		{"event", strings.Repeat("(", MaxDepth+1) + "a" + strings.Repeat(")", MaxDepth+1)}, {"event", strings.Repeat("a", MaxLength+1)}, {"event", "\xff"},
	} {
		if _, err := Parse(url.Values{c[0]: {c[1]}}); err == nil {
			t.Errorf("%s=%.40s was accepted", c[0], c[1])
		}
	}
	if _, err := Parse(url.Values{"tags": strings.Split(strings.Repeat("a ", MaxExpressions), " ")}); err != nil {
		t.Errorf("%d expressions: %v", MaxExpressions, err)
	}
	if _, err := Parse(url.Values{"tags": strings.Split(strings.Repeat("a ", MaxExpressions)+"a", " ")}); err == nil {
		t.Error("too many expressions were accepted")
	}
	deep := strings.Repeat("(", MaxDepth) + "failed" + strings.Repeat(")", MaxDepth)
	if _, err := Parse(url.Values{"event": {deep, deep}}); err != nil {
		t.Errorf("the deepest expression: %v", err)
	}
}

func TestFieldsAreJoinedByAnd(t *testing.T) {
	r, m := sample()
	for _, c := range []struct {
		q    url.Values
		want bool
	}{
		{url.Values{"event": {"failed"}, "tags": {"newsletter"}}, true},
		{url.Values{"event": {"failed"}, "tags": {"x"}}, false},
		{url.Values{"tags": {"newsletter", "bulk-email"}}, true},
		{url.Values{"tags": {"newsletter", "x"}}, false},
		{url.Values{"unknown": {"(("}, "pretty": {"yes"}}, true},
		{nil, true},
	} {
		f, err := Parse(c.q)
		if err != nil || f.Match(r, m) != c.want {
			t.Errorf("%v: %v, want %v", c.q, err, c.want)
		}
	}
}

func TestHints(t *testing.T) {
	both := []event.Type{event.FailedTemporary, event.FailedPermanent}
	for _, c := range []struct {
		q    url.Values
		want Hints
	}{
		{nil, Hints{}},
		{url.Values{"event": {"failed"}}, Hints{Types: both}},
		{url.Values{"event": {"failed"}, "severity": {"permanent"}}, Hints{Types: both[1:]}},
		{url.Values{"severity": {"permanent OR temporary"}}, Hints{Types: both}},
		{url.Values{"event": {"delivered OR accepted"}}, Hints{Types: []event.Type{event.Accepted, event.Delivered}}},
		{url.Values{"event": {"nonsense"}}, Hints{None: true, Types: []event.Type{}}},
		{url.Values{"event": {"failed AND delivered"}}, Hints{None: true, Types: []event.Type{}}},
		{url.Values{"recipient": {"Ann@Example.net"}}, Hints{Recipient: "ann@example.net"}},
		{url.Values{"recipient": {"ann@example.net OR bob@example.net"}}, Hints{}},
		{url.Values{"recipient": {"a@example.net OR a@example.net"}}, Hints{Recipient: "a@example.net"}},
		{url.Values{"recipient": {"NOT a@example.net"}}, Hints{}},
		{url.Values{"recipient": {"NOT b@example.net AND a@example.net"}}, Hints{Recipient: "a@example.net"}},
		{url.Values{"recipient": {"a@example.net", "b@example.net"}}, Hints{None: true, Recipient: "b@example.net"}},
		{url.Values{"message-id": {"<X@example.com>"}}, Hints{MessageID: "X@example.com"}},
		{url.Values{"tags": {"x"}, "subject": {"y"}}, Hints{Tags: []string{"x"}}},
		{url.Values{"tags": {"Bulk-Email AND ghost AND (bulk-email OR z)", "third"}}, Hints{Tags: []string{"bulk-email", "ghost", "third"}}},
		{url.Values{"tags": {"a OR b"}}, Hints{}},
		{url.Values{"tags": {"NOT a"}}, Hints{}},
		{url.Values{"tags": {`a (b NOT c)`}}, Hints{Tags: []string{"a", "b"}}},
	} {
		f, err := Parse(c.q)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Hints(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: got %+v, want %+v", c.q, got, c.want)
		}
	}
}

// Hints never exclude what Match would find, whatever the expression.
func FuzzFilter(f *testing.F) {
	f.Add("event", "delivered OR (failed AND NOT x)")
	f.Add("recipient", `ann@example.net OR "ann@example.net"`)
	f.Add("message-id", "<Mixed.Case@example.com>")
	f.Add("size", ">1 <2 OR NOT 3")
	f.Add("subject", `"weekly news" NOT (draft OR "")`)
	f.Add("severity", "temporary")
	f.Add("tags", "x AND (y OR NOT z)")
	f.Fuzz(func(t *testing.T, field, expr string) {
		filter, err := Parse(url.Values{field: {expr}})
		if err != nil {
			return
		}
		h := filter.Hints()
		_, m := sample()
		for typ := event.Accepted; typ <= event.Stored; typ++ {
			r := &event.Record{Type: typ, Recipient: "Ann@example.net"}
			if !filter.Match(r, m) {
				continue
			}
			typed := h.Types == nil
			for _, ht := range h.Types {
				typed = typed || ht == typ
			}
			for _, tag := range h.Tags {
				if !slices.ContainsFunc(m.Tags, func(t string) bool { return strings.ToLower(t) == tag }) {
					t.Errorf("%s=%q matches, but the hints want the tag %q", field, expr, tag)
				}
			}
			if h.None || !typed || h.Recipient != "" && !strings.EqualFold(h.Recipient, r.Recipient) && strings.ToLower(r.Recipient) != h.Recipient ||
				h.MessageID != "" && h.MessageID != m.MessageID {
				t.Errorf("%s=%q matches %v, but the hints are %+v", field, expr, typ, h)
			}
		}
	})
}
