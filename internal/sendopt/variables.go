package sendopt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/strictjson"
)

// variable takes one user variable. Given twice, the last one counts.
func (p *optionReader) variable(name, value string) error {
	if name == "" || !utf8.ValidString(name) || !utf8.ValidString(value) {
		return invalid("v:%s is not valid UTF-8 or has no name", Printable(name))
	}
	if p.o.Variables == nil {
		p.o.Variables = map[string]string{}
	}
	p.o.Variables[name] = value
	return nil
}

// variablesJSON takes an X-Mailgun-Variables field: a JSON object. Several of them merge.
func (p *optionReader) variablesJSON(f compose.Field) error {
	object, err := strictjson.Object(f.Value)
	if err != nil {
		return invalid("%s is not a valid JSON object: %v", Printable(f.Name), err)
	}
	for name, value := range object {
		if err := p.variable(name, strictjson.Text(value)); err != nil {
			return err
		}
	}
	return nil
}

// ParameterVariables returns the user variables among the parameters of an API call that [Parse] has
// taken; nil if there are none.
func ParameterVariables(params []compose.Field) map[string]string {
	p := optionReader{seen: map[string]string{}}
	for _, f := range params {
		switch optionKey(f.Name) {
		case "v:":
			_ = p.variable(strings.TrimPrefix(f.Name[1:], ":"), f.Value) // checked before
		case "variables":
			_ = p.variablesJSON(f)
		}
	}
	return p.o.Variables
}

// VariablesHeader writes variables as the value of an X-Mailgun-Variables field,
// ASCII only; empty if there are none.
func VariablesHeader(variables map[string]string) string {
	if len(variables) == 0 {
		return ""
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(variables); err != nil { // a map of strings
		return ""
	}
	var ascii strings.Builder
	for _, r := range strings.TrimSpace(b.String()) {
		switch {
		case r < utf8.RuneSelf:
			ascii.WriteRune(r)
		case r > 0xffff: // a surrogate pair, RFC 8259 section 7
			r -= 0x10000
			fmt.Fprintf(&ascii, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&ascii, `\u%04x`, r)
		}
	}
	return ascii.String()
}
