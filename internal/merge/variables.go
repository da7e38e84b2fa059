package merge

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/mail"
	"github.com/sealpost/sealpost/internal/strictjson"
)

// MaxVariables is the size of recipient-variables in octets: 1,000 recipients with ten KiB each.
const MaxVariables = 10 << 20

// ErrTooLarge: the variables are larger than MaxVariables.
var ErrTooLarge = errors.New("recipient variables are too large")

// Variables are what is known of recipients, by address as mail.Address.Key gives it.
type Variables map[string]map[string]string

// ParseVariables reads recipient-variables: a JSON object of objects, by address. Display
// names and letter case of addresses mean nothing; an address that is there twice under two
// spellings is an error, since one of them would be lost. Values may be of any JSON type: what is
// not a string is put in as it is written, null as nothing.
func ParseVariables(s string) (Variables, error) {
	if len(s) > MaxVariables {
		return nil, ErrTooLarge
	}
	object, err := strictjson.Object(s)
	if err != nil {
		return nil, err
	}
	all := make(Variables, len(object))
	for address, raw := range object {
		key := addressKey(address)
		if _, twice := all[key]; twice {
			return nil, fmt.Errorf("address %.100q is given twice", key)
		}
		inner, err := strictjson.Object(string(raw))
		if err != nil {
			return nil, err
		}
		values := make(map[string]string, len(inner))
		for name, value := range inner {
			if string(value) != "null" {
				values[name] = strictjson.Text(value)
			} else {
				values[name] = ""
			}
		}
		all[key] = values
	}
	return all, nil
}

func addressKey(address string) string {
	if m, err := mail.ParseMailbox(address); err == nil {
		return m.Address.Key()
	}
	return strings.ToLower(strings.TrimSpace(address))
}

// Of returns the recipient with what is known of it.
func (v Variables) Of(m mail.Mailbox) Person { return Person{Mailbox: m, Values: v[m.Address.Key()]} }

// A Person is a recipient with what is known of it.
type Person struct {
	Mailbox mail.Mailbox
	Values  map[string]string // by name; may be nil
}

// valueOf returns what belongs in a place; ok is false if nothing does.
func (p *Person) valueOf(key string) (value string, ok bool) {
	if name, named := strings.CutPrefix(key, "recipient."); named {
		value, ok = p.Values[name]
		return value, ok
	}
	name := strings.TrimSpace(p.Mailbox.Name)
	first, last, _ := strings.Cut(name, " ")
	switch key {
	case "recipient":
		if name == "" {
			return p.Mailbox.Address.String(), true
		}
		return fmt.Sprintf("%s <%s>", name, p.Mailbox.Address), true
	case "recipient_email":
		return p.Mailbox.Address.String(), true
	case "recipient_name":
		return name, true
	case "recipient_fname":
		return first, true
	case "recipient_lname":
		return strings.TrimSpace(last), true
	}
	return "", false
}
