package routing

import (
	"reflect"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	m := Message{Recipient: "Bob+News@example.com", Header: func(name string) []string {
		if strings.EqualFold(name, "subject") {
			return []string{"Re: Hello (again)"}
		}
		return nil
	}}
	for expression, want := range map[string]bool{
		`catch_all()`:                                                            true,
		` catch_all ( ) `:                                                        true,
		`match_recipient(".*@example.com")`:                                      true,
		`match_recipient('^bob\+(.*)@example\.com$')`:                            true,
		`match_recipient("^bob@")`:                                               false,
		`match_header("Subject", "hello")`:                                       true,
		`match_header("subject", "\(again\)")`:                                   true,
		`match_header("x-none", ".*")`:                                           false,
		`match_recipient("bob") and match_header("subject", "bye")`:              false,
		`match_recipient("bob") AND match_header("subject", "hello")`:            true,
		`match_recipient("ann") or match_header("subject", "hello")`:             true,
		`match_recipient("ann") or catch_all() and match_recipient("ann")`:       false,
		`(match_recipient("ann") or catch_all()) and not match_recipient("ann")`: true,
		`not (catch_all())`:                                                      false,
		`match_header("subject", "\"")`:                                          false,
		`match_recipient("(?P<x>bob)")`:                                          true,
		`match_recipient("a|b") and match_recipient("^z|@example")`:              true,
	} {
		e, err := Parse(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got := e.Match(m); got != want {
			t.Errorf("%s: %v", expression, got)
		}
	}
	e, err := Parse(`match_header("subject", ".*")`)
	if err != nil || e.Match(Message{Recipient: "a@b.test"}) {
		t.Error("a message without header fits", err)
	}
}

func TestNotUnderstood(t *testing.T) {
	for expression, want := range map[string]string{
		"":                                     "a filter is missing: match_recipient(…), match_header(…) or catch_all()",
		"catch_all":                            "a ( is missing",
		"catch_all(":                           "a value must stand in quotes",
		"catch_all() catch_all()":              `"catch_all" is not expected`,
		"catch_all() and":                      "a filter is missing: match_recipient(…), match_header(…) or catch_all()",
		"(catch_all()":                         "a ( is never closed",
		`match_recipient()`:                    "match_recipient has the wrong number of arguments",
		`match_recipient("a", "b")`:            "match_recipient has the wrong number of arguments",
		`match_recipient(bob)`:                 "a value must stand in quotes",
		`match_recipient("bob`:                 "a quote is never closed",
		`match_recipient("(")`:                 `"(" is no regular expression`,
		`match_recipient(")|(")`:               `")|(" is no regular expression`,
		`match_recipient(x="y")`:               `match_recipient takes no argument "x"`,
		`match_body("x")`:                      `"match_body" is no filter; there are match_recipient, match_header and catch_all`,
		strings.Repeat("(", 30):                "it is nested more than 20 deep",
		strings.Repeat("not ", 30):             "it is nested more than 20 deep",
		strings.Repeat("catch_all() or ", 150): "it has more than 100 filters",
		strings.Repeat(" ", 5000):              "it is longer than 4096 octets",
		"\xff":                                 "it is not UTF-8",
	} {
		if _, err := Parse(expression); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", expression, err, want)
		}
	}
}

func TestActions(t *testing.T) {
	for s, want := range map[string]Action{
		`stop()`:                                    {Verb: "stop"},
		`store()`:                                   {Verb: "store"},
		`store(notify="https://a.test/x")`:          {"store", []string{"https://a.test/x"}},
		`store(notify='http://a.test')`:             {"store", []string{"http://a.test"}},
		`store("https://a.test")`:                   {"store", []string{"https://a.test"}},
		`forward("ann@one.test")`:                   {"forward", []string{"ann@one.test"}},
		`forward("https://a.test/?x=1,2")`:          {"forward", []string{"https://a.test/?x=1,2"}},
		`forward("a@b.test, c@d.test", "e@f.test")`: {"forward", []string{"a@b.test", "c@d.test", "e@f.test"}},
	} {
		if got, err := ParseAction(s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"":                          "a ( is missing",
		`stop`:                      "a ( is missing",
		`stop("x")`:                 "stop has no arguments",
		`drop()`:                    `"drop" is no action; there are forward, store and stop`,
		`forward()`:                 "forward needs an address or a URL",
		`forward("nobody")`:         `"nobody" is neither an address nor a URL`,
		`forward("ftp://a.test")`:   `"ftp://a.test" is neither an address nor a URL`,
		`store(notify="a@b.test")`:  `"a@b.test" is no URL`,
		`store(other="http://a.b")`: "store has one argument at most, notify",
		`stop() stop()`:             `"stop" is not expected`,
	} {
		if _, err := ParseAction(s); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", s, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`(match_recipient("^a\+.*@b$") or not match_header("subject", 'x')) and catch_all()`, "a@b")
	f.Add(`forward("a@b.test")`, "")
	f.Fuzz(func(t *testing.T, s, recipient string) {
		if e, err := Parse(s); err == nil {
			m := Message{Recipient: recipient, Header: func(string) []string { return []string{recipient} }}
			first := e.Match(m)
			if again := e.Match(m); again != first {
				t.Error("matches by chance")
			}
		}
		if a, err := ParseAction(s); err == nil && a.Verb != "stop" && a.Verb != "store" && len(a.Targets) == 0 {
			t.Errorf("%q became %+v", s, a)
		}
	})
}
