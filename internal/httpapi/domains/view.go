package domains

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sealpost/sealpost/internal/domaindns"
	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/store"
)

// A domainJSON is a sending domain as clients know it.
type domainJSON struct {
	ID               string        `json:"id"`
	Name             string        `json:"name"`
	CreatedAt        string        `json:"created_at"`
	State            string        `json:"state"`
	Type             string        `json:"type"`
	IsDisabled       bool          `json:"is_disabled"`
	Disabled         *disabledJSON `json:"disabled,omitempty"`
	RequireTLS       bool          `json:"require_tls"`
	SkipVerification bool          `json:"skip_verification"`
	SMTPLogin        string        `json:"smtp_login"`
	SpamAction       string        `json:"spam_action"`
	AutomaticSender  bool          `json:"use_automatic_sender_security"`
	WebPrefix        string        `json:"web_prefix"`
	WebScheme        string        `json:"web_scheme"`
	Wildcard         bool          `json:"wildcard"`
	TrackingHost     string        `json:"tracking_host"`
	DKIMHost         string        `json:"dkim_host"`
	MailFromHost     string        `json:"mailfrom_host,omitempty"`
	EncryptIncoming  bool          `json:"encrypt_incoming_message,omitempty"`
	ArchiveTo        string        `json:"archive_to,omitempty"`
	MessageTTL       int           `json:"message_ttl,omitempty"`
	SubaccountID     string        `json:"subaccount_id,omitempty"`
}

type disabledJSON struct {
	Code        string `json:"code"`
	Note        string `json:"note"`
	Permanently bool   `json:"permanently"`
	Reason      string `json:"reason"`
	Until       string `json:"until"`
}

// view is the one place that lays out a domain, so that every call agrees.
func (c *Calls) view(ctx context.Context, d *store.Domain) (domainJSON, error) {
	v := domainJSON{
		// Clients take ids for 24 hexadecimal digits; ours are small numbers.
		ID:               fmt.Sprintf("%08x%016x", uint32(d.CreatedAt.Unix()), d.ID),
		Name:             d.Name,
		CreatedAt:        door.GMT(d.CreatedAt),
		State:            string(d.State),
		Type:             "custom",
		IsDisabled:       d.State == store.DomainDisabled,
		RequireTLS:       d.TLS.RequireTLS.Bool(),
		SkipVerification: d.TLS.SkipVerification.Bool(),
		SMTPLogin:        systemLogin(*d),
		SpamAction:       cmp.Or(d.Settings.SpamAction, "disabled"),
		AutomaticSender:  d.Settings.AutomaticSender,
		WebPrefix:        cmp.Or(d.Settings.WebPrefix, "email"),
		WebScheme:        cmp.Or(d.Settings.WebScheme, "http"),
		Wildcard:         d.Settings.Wildcard,
		TrackingHost:     domaindns.TrackingName(d),
		DKIMHost:         cmp.Or(d.Settings.DKIMAuthority, d.Name),
		MailFromHost:     d.Settings.MailFromHost,
		EncryptIncoming:  d.Settings.EncryptIncoming,
		ArchiveTo:        d.Settings.ArchiveTo,
		MessageTTL:       d.Settings.MessageTTL,
	}
	if v.IsDisabled {
		v.Disabled = &disabledJSON{Reason: d.Settings.DisabledWhy, Permanently: true}
	}
	if d.AccountID != store.PrimaryAccount {
		account, err := c.deps.Accounts.Account(ctx, d.AccountID)
		if err != nil {
			return v, err
		}
		v.SubaccountID = account.Ref
	}
	return v, nil
}

// A domainAnswer is a domain with the records it needs in DNS.
type domainAnswer struct {
	Message   string        `json:"message,omitempty"`
	Domain    domainJSON    `json:"domain"`
	Receiving []mxJSON      `json:"receiving_dns_records"`
	Sending   []*recordJSON `json:"sending_dns_records"`
}

func (c *Calls) replyDomain(w http.ResponseWriter, r *door.Request, d *store.Domain, text string) error {
	return c.answerDomain(w, r, d, text, true)
}

func (c *Calls) answerDomain(w http.ResponseWriter, r *door.Request, d *store.Domain, text string, withDNS bool) error {
	view, err := c.view(r.Context(), d)
	if err != nil {
		return err
	}
	answer := domainAnswer{text, view, []mxJSON{}, []*recordJSON{}}
	if withDNS {
		authority, err := c.authority(r.Context(), d)
		if err != nil {
			return err
		}
		for _, rec := range c.cfg.DNS.Receiving(d) {
			answer.Receiving = append(answer.Receiving, receivingView(d, rec))
		}
		answer.Sending = c.sendingViews(d, authority)
	}
	return door.Reply(w, answer)
}

// authority returns the domain whose keys sign for d: d itself, unless it is under the authority of
// another one of its account that is still there.
func (c *Calls) authority(ctx context.Context, d *store.Domain) (*store.Domain, error) {
	name := d.Settings.DKIMAuthority
	if name == "" || name == d.Name {
		return d, nil
	}
	other, err := c.deps.Domains.Domain(ctx, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err != nil || other.AccountID != d.AccountID || len(other.DKIM) == 0 {
		return d, nil
	}
	return &other, nil
}
