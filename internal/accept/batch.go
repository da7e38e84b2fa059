package accept

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
)

// batch makes one copy for each address of to, with its own values put in
// (recipient-variables).
func (j *job) batch(ctx context.Context, base compose.Draft) ([]letter, error) {
	if len(j.recipients) != len(base.To) {
		return nil, invalid("cc and bcc parameters cannot be combined with 'recipient-variables'")
	}
	values, err := recipientVariables(j.opts.recipientVars)
	if err != nil {
		return nil, err
	}
	pieces := newTemplates(base, j.opts)
	if pieces.expanded(base.To, values) > MaxExpanded {
		return nil, invalid("'recipient-variables' make more than %d MiB of messages", MaxExpanded>>20)
	}
	letters := make([]letter, 0, len(base.To))
	for _, to := range base.To {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d, variables, messageID := pieces.fill(base, to, values[to.Address.Key()])
		if err := j.mayClaim(ctx, d.Headers); err != nil { // again, with the values in (SEC-57)
			return nil, err
		}
		l, err := j.compose(d, variables, messageID)
		if err != nil {
			return nil, err
		}
		l.recipients, l.variables = []mail.Address{to.Address}, variables
		letters = append(letters, l)
	}
	return letters, nil
}

// recipientVariables reads the parameter: an object of objects, by address.
// Keys of the result are as mail.Address.Key gives them.
func recipientVariables(s string) (map[string]map[string]string, error) {
	notJSON := invalid("'recipient-variables' parameter is not a valid JSON")
	if len(s) > MaxRecipientVariables {
		return nil, invalid("'recipient-variables' parameter is limited to %d MiB", MaxRecipientVariables>>20)
	}
	object, err := strictObject(s)
	if err != nil {
		return nil, notJSON
	}
	all := make(map[string]map[string]string, len(object))
	for address, raw := range object {
		key := strings.ToLower(strings.TrimSpace(address))
		if m, err := mail.ParseMailbox(address); err == nil {
			key = m.Address.Key()
		}
		var inner map[string]json.RawMessage
		if err := json.Unmarshal(raw, &inner); err != nil {
			return nil, notJSON
		}
		values := make(map[string]string, len(inner))
		for name, value := range inner {
			values[name] = jsonText(value)
		}
		all[key] = values
	}
	return all, nil
}

// templates are the texts of a draft in which values stand, taken apart once.
type templates struct {
	subject, text, html, amp, messageID template
	headers                             []template
	variables                           map[string]template
	files                               int64 // octets, as they will be encoded
}

func newTemplates(d compose.Draft, o options) templates {
	t := templates{
		subject: parseTemplate(d.Subject), text: parseTemplate(d.Text), html: parseTemplate(d.HTML), amp: parseTemplate(d.AMP),
		messageID: parseTemplate(o.messageID), variables: map[string]template{},
	}
	for _, h := range d.Headers {
		t.headers = append(t.headers, parseTemplate(h.Value))
	}
	for name, value := range o.variables {
		t.variables[name] = parseTemplate(value)
	}
	for _, f := range slices.Concat(d.Files, d.Inline) {
		t.files += f.Size/3*4 + f.Size/50
	}
	return t
}

// expanded is about how many octets all copies have together; it is counted
// without making them (SEC-21).
func (t *templates) expanded(to []mail.Mailbox, values map[string]map[string]string) int64 {
	fixed := t.files
	used := map[string]int64{}
	all := append([]template{t.subject, t.text, t.html, t.amp, t.messageID}, t.headers...)
	for _, v := range t.variables {
		all = append(all, v)
	}
	for _, one := range all {
		for _, s := range one {
			fixed += int64(len(s.literal))
			if s.key != "" {
				used[s.key]++
			}
		}
	}
	var total int64
	for _, m := range to {
		total += fixed
		for key, n := range used {
			total += n * int64(len(lookUp(key, m, values[m.Address.Key()])))
		}
	}
	return total
}

// fill returns the copy for one recipient.
func (t *templates) fill(d compose.Draft, to mail.Mailbox, values map[string]string) (compose.Draft, map[string]string, string) {
	put := func(one template) string { return one.fill(to, values) }
	d.To = []mail.Mailbox{to}
	d.Subject, d.Text, d.HTML, d.AMP = put(t.subject), put(t.text), put(t.html), put(t.amp)
	d.Headers = slices.Clone(d.Headers)
	for i := range d.Headers {
		d.Headers[i].Value = put(t.headers[i])
	}
	variables := make(map[string]string, len(t.variables))
	for name, v := range t.variables {
		variables[name] = put(v)
	}
	return d, variables, put(t.messageID)
}

// A template is a text with places for values.
type template []segment

// A segment is literal text, then a value unless key is empty. The key is what
// stands between the percent signs.
type segment struct{ literal, key string }

// parseTemplate finds the places: %recipient%, %recipient_email%, %recipient.key% and so on.
func parseTemplate(s string) template {
	var t template
	start := 0
	for i := 0; i < len(s); {
		at := strings.Index(s[i:], "%recipient")
		if at < 0 {
			break
		}
		at += i
		end := strings.IndexByte(s[at+1:min(len(s), at+300)], '%')
		if end < 0 {
			i = at + 1
			continue
		}
		key := s[at+1 : at+1+end]
		if !isKey(key) {
			i = at + 1
			continue
		}
		t = append(t, segment{s[start:at], key})
		i = at + end + 2
		start = i
	}
	return append(t, segment{literal: s[start:]})
}

func isKey(key string) bool {
	switch key {
	case "recipient", "recipient_email", "recipient_name", "recipient_fname", "recipient_lname":
		return true
	}
	name, ok := strings.CutPrefix(key, "recipient.")
	return ok && name != "" && !strings.ContainsAny(name, "\r\n<>")
}

// lookUp returns the value for a place. Where there is none, the text stays as it was typed.
func lookUp(key string, to mail.Mailbox, values map[string]string) string {
	first, last, _ := strings.Cut(strings.TrimSpace(to.Name), " ")
	switch key {
	case "recipient":
		if to.Name == "" {
			return to.Address.String()
		}
		return fmt.Sprintf("%s <%s>", to.Name, to.Address)
	case "recipient_email":
		return to.Address.String()
	case "recipient_name":
		return to.Name
	case "recipient_fname":
		return first
	case "recipient_lname":
		return strings.TrimSpace(last)
	}
	if v, ok := values[strings.TrimPrefix(key, "recipient.")]; ok {
		return v
	}
	return "%" + key + "%"
}

func (t template) fill(to mail.Mailbox, values map[string]string) string {
	if len(t) == 1 {
		return t[0].literal
	}
	var b strings.Builder
	for _, s := range t {
		b.WriteString(s.literal)
		if s.key != "" {
			b.WriteString(lookUp(s.key, to, values))
		}
	}
	return b.String()
}
