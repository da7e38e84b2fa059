package strictjson

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestObject(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                             "",
		` {"a": "x", "b": [1, {"a":2}]}`: "",
		`{"a":{"a":1},"b":{"a":1}}`:      "",
		`{"a":["a","a"]}`:                "",
		`[]`:                             "not an object",
		`null`:                           "not an object",
		``:                               "not an object",
		`{"a":1}{"b":2}`:                 "not an object",
		`{"a":1,"a":2}`:                  `key "a" is given twice`,
		`{"a":{"b":1,"b":{}}}`:           `key "b" is given twice`,
		`{"a":1,"\u0061":2}`:             `key "a" is given twice`,
		`{"a":}`:                         "syntax error",
		`{"a":1`:                         "syntax error",
		"{\"\xff\":1}":                   "not UTF-8",
		strings.Repeat("[", 5000):        "too deeply nested",
	} {
		_, err := Object(text)
		if got := message(err); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
	many := "{"
	for i := range MaxKeys + 1 {
		many += strings.Repeat(",", min(i, 1)) + `"` + strings.Repeat("k", 1+i%7) + string(rune('a'+i%26)) + json.Number(strings.Repeat("1", 1+i/26)).String() + `":1`
	}
	if _, err := Object(many + "}"); err == nil {
		t.Error("too many keys were taken")
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Fields of structs are filled in whatever letter case their keys are; keys of maps are not.
func TestCheckFields(t *testing.T) {
	for s, want := range map[string]string{
		`{"start":1,"Start":2}`:       `key "Start" is given twice`,
		`{"\u212a":1,"k":2}`:          `key "k" is given twice`, // KELVIN SIGN, which encoding/json takes for a k
		`[{"a":{"b":1,"B":1}}]`:       `key "B" is given twice`,
		`{"a":1,"b":{"a":1,"A1":2}}`:  "",
		`{"a":1,"a":2}`:               `key "a" is given twice`,
		`[{"A":1},{"a":1},{"aa":""}]`: "",
	} {
		if got := message(CheckFields(s)); got != want {
			t.Errorf("%s: %q, want %q", s, got, want)
		}
	}
	if err := Check(`{"a":1,"A":2}`); err != nil {
		t.Error(err)
	}
}

func TestText(t *testing.T) {
	for raw, want := range map[string]string{`"a\u00fc\n"`: "aü\n", `12.50`: "12.50", `true`: "true", `{"a": 1}`: `{"a": 1}`, `null`: "null", ``: ""} {
		if got := Text(json.RawMessage(raw)); got != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

func FuzzObject(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"a":2}`, `{"a":{"b":[1,{"c":null}]}}`, `[]`, `{"a":"\ud800"}`, "{\"\xff\":1}", `{"a":1}{`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		object, err := Object(s)
		if err != nil {
			return
		}
		var again map[string]json.RawMessage
		if json.Unmarshal([]byte(s), &again) != nil || len(again) != len(object) {
			t.Errorf("%q: %d keys here, %d there", s, len(object), len(again))
		}
		for _, v := range object {
			if !utf8.ValidString(Text(v)) {
				t.Errorf("%q gives invalid text", s)
			}
		}
	})
}
