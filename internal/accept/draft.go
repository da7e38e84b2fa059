package accept

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/sealpost/sealpost/internal/compose"
	"github.com/sealpost/sealpost/internal/mail"
)

// draft takes a message that came in pieces.
func (j *job) draft(ctx context.Context) ([]letter, error) {
	d := j.s.Draft
	from, err := sender(d.From)
	if err != nil {
		return nil, err
	}
	j.from = from.Address.String()
	if err := j.readOptions(ctx, nil); err != nil {
		return nil, err
	}
	if d.Text == "" && d.HTML == "" && d.AMP == "" {
		return nil, invalid("Need at least one of 'text', 'html', 'amp-html' or 'template' parameters specified")
	}
	base := compose.Draft{
		From: from, Subject: d.Subject, Text: d.Text, HTML: d.HTML, AMP: d.AMP,
		Headers: withoutUnsubscribePlaceholders(j.opts.headers), Files: d.Attachments, Inline: d.Inline, Date: j.now,
	}
	if err := j.addressDraft(&base); err != nil {
		return nil, err
	}
	if err := j.mayClaim(ctx, base.Headers); err != nil {
		return nil, err
	}
	if err := j.mayAppearAs(ctx, from.Address); err != nil {
		return nil, err
	}
	if err := j.returnTo(ctx, from.Address); err != nil {
		return nil, err
	}
	if j.opts.recipientVars != "" {
		return j.batch(ctx, base)
	}
	l, err := j.compose(base, j.opts.variables, j.opts.messageID)
	if err != nil {
		return nil, err
	}
	l.recipients = j.recipients
	return []letter{l}, nil
}

// sender reads the from parameters: one mailbox.
func sender(values []string) (mail.Mailbox, error) {
	joined := strings.Join(values, ",")
	if strings.Trim(joined, ", ") == "" {
		return mail.Mailbox{}, invalid("from parameter is missing")
	}
	m, err := mail.ParseMailbox(joined)
	if err != nil {
		return m, invalid("from parameter is not a valid address. please check documentation")
	}
	return m, nil
}

// addressDraft reads to, cc and bcc.
func (j *job) addressDraft(d *compose.Draft) error {
	lists := map[string][]mail.Mailbox{}
	for param, values := range map[string][]string{"to": j.s.To, "cc": j.s.Cc, "bcc": j.s.Bcc} {
		list, err := mailboxes(param, values)
		if err != nil {
			return err
		}
		lists[param] = list
	}
	if len(lists["to"]) == 0 {
		return invalid("to parameter is missing")
	}
	d.To, d.Cc = lists["to"], lists["cc"]
	var err error
	j.recipients, err = distinct(lists["to"], lists["cc"], lists["bcc"])
	return err
}

// compose writes one draft with the given variables and the Message-ID the sender
// asked for, if any.
func (j *job) compose(d compose.Draft, variables map[string]string, messageID string) (letter, error) {
	id := j.room.intake.NewID()
	d.MessageID = messageIDOf(id, j.now, j.domain.Name)
	if messageID != "" {
		given, err := compose.ParseMessageID(messageID)
		if err != nil {
			return letter{}, invalid("h:Message-Id is not a valid message id")
		}
		d.MessageID = given
	}
	if j.opts.travels("sid") {
		d.Sid = id.String()
	}
	if j.opts.travels("tag") {
		d.Tags = j.opts.tags
	}
	if j.opts.travels("variables") {
		d.Variables = variablesHeader(variables)
	}
	if err := d.Check(); err != nil {
		return letter{}, err
	}
	return j.write(id, func(w io.Writer) (compose.Result, error) {
		result, err := compose.Compose(w, d)
		if err != nil {
			return result, fmt.Errorf("compose: %w", err)
		}
		return result, nil
	}, MaxSize)
}

// placeholders that stand for unsubscribe addresses of ours. We have none yet, and
// a List-Unsubscribe field must not promise one.
var unsubscribePlaceholders = []string{
	"%unsubscribe_url%", "%tag_unsubscribe_url%", "%mailing_list_unsubscribe_url%", "%unsubscribe_email%", "%tag_unsubscribe_email%",
}

// withoutUnsubscribePlaceholders drops from List-Unsubscribe fields the elements
// that are such a placeholder, and the field if nothing is left.
func withoutUnsubscribePlaceholders(headers []compose.Field) []compose.Field {
	var kept []compose.Field
	for _, f := range headers {
		if strings.EqualFold(f.Name, "List-Unsubscribe") {
			var elements []string
			for e := range strings.SplitSeq(f.Value, ",") {
				if !isPlaceholder(strings.Trim(e, " \t<>")) {
					elements = append(elements, strings.TrimSpace(e))
				}
			}
			if len(elements) == 0 {
				continue
			}
			f.Value = strings.Join(elements, ", ")
		}
		kept = append(kept, f)
	}
	return kept
}

func isPlaceholder(s string) bool {
	s = strings.TrimPrefix(s, "mailto:")
	for _, p := range unsubscribePlaceholders {
		if s == p {
			return true
		}
	}
	return false
}
