package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailgun/mailgun-go/v4"
	"github.com/mailgun/mailgun-go/v4/events"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// The official Go client as most applications still have it. It uses older paths and
// forms than its successor; each area is called once and its effect looked at.
func TestMailgunGoV4(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, "example.com")
	mg := mailgun.NewMailgun("example.com", apiKey)
	mg.SetAPIBase(rg.base + "/v3")
	c := &goClient4{MailgunImpl: mg, rig: rg, mx: w.receive(t, "go4", smtptest.Valid, smtptest.Behaviour{})}
	for _, area := range []struct {
		name string
		run  func(*goClient4, *testing.T)
	}{
		{"messages", (*goClient4).messages},
		{"domains", (*goClient4).domains},
		{"credentials", (*goClient4).credentials},
		{"suppressions", (*goClient4).suppressions},
		{"webhooks", (*goClient4).webhooks},
		{"templates", (*goClient4).templates},
		{"numbers", (*goClient4).numbers},
		{"lists and routes", (*goClient4).listsAndRoutes},
		{"subaccounts", (*goClient4).subaccounts},
	} {
		t.Run(area.name, func(t *testing.T) { area.run(c, t) })
	}
}

type goClient4 struct {
	*mailgun.MailgunImpl
	rig *rig
	mx  *receiver
}

func (c *goClient4) messages(t *testing.T) {
	m := mailgun.NewMessage("Bob <bob@example.com>", "Hi", "text", c.mx.address())
	m.SetHTML("<b>html</b>")
	ok(t, m.AddTag("go4"))
	ok(t, m.AddVariable("order", map[string]any{"n": 1}))
	m.SetRequireTLS(true)
	m.AddHeader("X-My-Header", "yes")
	_, id, err := c.Send(t.Context(), m)
	ok(t, err)
	mime := mailgun.NewMIMEMessage(readCloser("From: bob@example.com\r\nTo: ann@example.net\r\nSubject: raw\r\n\r\nraw\r\n"), c.mx.address())
	if _, _, err := c.Send(t.Context(), mime); err != nil {
		t.Fatal(err)
	}
	c.rig.settle(t)
	it := c.ListEvents(&mailgun.ListEventOptions{Filter: map[string]string{"event": "delivered", "message-id": strings.Trim(id, "<>")}})
	var page []mailgun.Event
	var all []mailgun.Event
	for it.Next(t.Context(), &page) && len(page) > 0 {
		all = append(all, page...)
	}
	ok(t, it.Err())
	if len(all) != 1 {
		t.Fatalf("%d events", len(all))
	}
	e := all[0].(*events.Delivered)
	if !isTrue(e.DeliveryStatus.TLS) || !isTrue(e.DeliveryStatus.CertificateVerified) || e.DeliveryStatus.MxHost != c.mx.host || !slices.Equal(e.Tags, []string{"go4"}) {
		t.Errorf("event is %+v", e)
	}
	if stored, err := c.GetStoredMessage(t.Context(), e.Storage.URL); err != nil || stored.Subject != "Hi" {
		t.Errorf("stored message is %+v, %v", stored, err)
	}
	poll := c.PollEvents(&mailgun.ListEventOptions{Begin: time.Now().Add(-time.Hour), PollInterval: time.Millisecond, ForceAscending: true})
	if !poll.Poll(t.Context(), &page) || len(page) == 0 {
		t.Errorf("polling found %d events, %v", len(page), poll.Err())
	}
}

func (c *goClient4) domains(t *testing.T) {
	ctx := t.Context()
	created, err := c.CreateDomain(ctx, "four.example.com", &mailgun.CreateDomainOptions{Password: "supersecret", SpamAction: mailgun.SpamActionDisabled, DKIMKeySize: 2048})
	ok(t, err)
	if created.Domain.Name != "four.example.com" || created.Domain.CreatedAt.IsZero() {
		t.Errorf("created %+v", created)
	}
	ok(t, c.UpdateDomain(ctx, "four.example.com", &mailgun.UpdateDomainOptions{WebScheme: "https"}))
	ok(t, c.UpdateDomainConnection(ctx, "four.example.com", mailgun.DomainConnection{RequireTLS: true}))
	if got, err := c.GetDomainConnection(ctx, "four.example.com"); err != nil || !got.RequireTLS || got.SkipVerification {
		t.Errorf("connection is %+v, %v", got, err)
	}
	ok(t, c.UpdateDomainTrackingWebPrefix(ctx, "four.example.com", "go"))
	ok(t, c.UpdateOpenTracking(ctx, "four.example.com", "yes"))
	if got, err := c.GetDomainTracking(ctx, "four.example.com"); err != nil || !got.Open.Active {
		t.Errorf("tracking is %+v, %v", got, err)
	}
	it := c.ListDomains(nil)
	var page []mailgun.Domain
	if !it.Next(ctx, &page) || len(page) != 2 {
		t.Errorf("domains are %+v, %v", page, it.Err())
	}
	if _, err := c.VerifyDomain(ctx, "four.example.com"); err != nil {
		t.Error(err)
	}
	ok(t, c.DeleteDomain(ctx, "four.example.com"))
}

func (c *goClient4) credentials(t *testing.T) {
	ctx := t.Context()
	ok(t, c.CreateCredential(ctx, "dora", "longpassword"))
	ok(t, c.ChangeCredentialPassword(ctx, "dora", "otherpassword"))
	it := c.ListCredentials(nil)
	var page []mailgun.Credential
	if !it.Next(ctx, &page) || len(page) < 2 {
		t.Errorf("credentials are %+v, %v", page, it.Err())
	}
	ok(t, c.DeleteCredential(ctx, "dora"))
}

func (c *goClient4) suppressions(t *testing.T) {
	ctx := t.Context()
	ok(t, c.AddBounce(ctx, "x@go.test", "550", "no"))
	ok(t, c.AddBounces(ctx, []mailgun.Bounce{{Address: "y@go.test"}}))
	if b, err := c.GetBounce(ctx, "x@go.test"); err != nil || b.Code != "550" {
		t.Errorf("bounce is %+v, %v", b, err)
	}
	ok(t, c.CreateUnsubscribe(ctx, "x@go.test", "news"))
	ok(t, c.CreateUnsubscribes(ctx, []mailgun.Unsubscribe{{Address: "z@go.test", Tags: []string{"*"}}}))
	if u, err := c.GetUnsubscribe(ctx, "x@go.test"); err != nil || !slices.Equal(u.Tags, []string{"news"}) {
		t.Errorf("unsubscribe is %+v, %v", u, err)
	}
	ok(t, c.CreateComplaint(ctx, "x@go.test"))
	ok(t, c.CreateComplaints(ctx, []string{"y@go.test"}))
	it := c.ListComplaints(nil)
	var page []mailgun.Complaint
	if !it.Next(ctx, &page) || len(page) != 2 {
		t.Errorf("complaints are %+v, %v", page, it.Err())
	}
	ok(t, c.DeleteBounce(ctx, "x@go.test"))
	ok(t, c.DeleteBounceList(ctx))
	ok(t, c.DeleteUnsubscribeWithTag(ctx, "x@go.test", "news"))
	ok(t, c.DeleteUnsubscribe(ctx, "z@go.test"))
	ok(t, c.DeleteComplaint(ctx, "x@go.test"))
	ok(t, c.DeleteComplaint(ctx, "y@go.test"))
}

func (c *goClient4) webhooks(t *testing.T) {
	ctx := t.Context()
	ok(t, c.CreateWebhook(ctx, "opened", []string{"https://hooks.example.net/a"}))
	ok(t, c.UpdateWebhook(ctx, "opened", []string{"https://hooks.example.net/b"}))
	if urls, err := c.GetWebhook(ctx, "opened"); err != nil || !slices.Equal(urls, []string{"https://hooks.example.net/b"}) {
		t.Errorf("webhook is %v, %v", urls, err)
	}
	if all, err := c.ListWebhooks(ctx); err != nil || len(all) != 1 {
		t.Errorf("webhooks are %v, %v", all, err)
	}
	ok(t, c.DeleteWebhook(ctx, "opened"))
}

func (c *goClient4) templates(t *testing.T) {
	ctx := t.Context()
	ok(t, c.CreateTemplate(ctx, &mailgun.Template{Name: "four", Version: mailgun.TemplateVersion{Tag: "a", Template: "Hello {{who}}", Engine: mailgun.TemplateEngineHandlebars}}))
	ok(t, c.AddTemplateVersion(ctx, "four", &mailgun.TemplateVersion{Tag: "b", Template: "Bye {{who}}"}))
	if v, err := c.GetTemplateVersion(ctx, "four", "b"); err != nil || v.Template != "Bye {{who}}" {
		t.Errorf("version is %+v, %v", v, err)
	}
	m := mailgun.NewMessage("bob@example.com", "Hi", "", c.mx.address())
	m.SetTemplate("four")
	m.SetTemplateVersion("b")
	ok(t, m.AddTemplateVariable("who", "Ann"))
	if _, _, err := c.Send(ctx, m); err != nil {
		t.Fatal(err)
	}
	c.rig.settle(t)
	if got := contents(c.mx.Messages()); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "Bye Ann") }) {
		t.Errorf("the receiver got %q", got)
	}
	ok(t, c.DeleteTemplateVersion(ctx, "four", "b"))
	ok(t, c.DeleteTemplate(ctx, "four"))
}

func (c *goClient4) numbers(t *testing.T) {
	ctx := t.Context()
	await(t, "the deliveries to be counted", func() bool {
		stats, err := c.GetStats(ctx, []string{"accepted", "delivered", "failed"}, &mailgun.GetStatOptions{Resolution: mailgun.ResolutionDay, Duration: "1d"})
		ok(t, err)
		total := 0
		for _, s := range stats {
			if s.Time == "" {
				t.Errorf("bucket is %+v", s)
			}
			total += s.Delivered.Total
		}
		return total >= 2
	})
	it := c.ListTags(nil)
	var page []mailgun.Tag
	if !it.Next(ctx, &page) || !slices.ContainsFunc(page, func(tag mailgun.Tag) bool { return tag.Value == "go4" && tag.FirstSeen != nil }) {
		t.Errorf("tags are %+v, %v", page, it.Err())
	}
	if _, err := c.GetTagLimits(ctx, "example.com"); err != nil {
		t.Error(err)
	}
	ok(t, c.DeleteTag(ctx, "go4"))
}

func (c *goClient4) listsAndRoutes(t *testing.T) {
	ctx := t.Context()
	if _, err := c.CreateMailingList(ctx, mailgun.MailingList{Address: "all@example.com", Name: "All"}); err != nil {
		t.Fatal(err)
	}
	ok(t, c.CreateMember(ctx, false, "all@example.com", mailgun.Member{Address: "ann@go.test", Vars: map[string]any{"a": "b"}}))
	if m, err := c.GetMember(ctx, "ann@go.test", "all@example.com"); err != nil || m.Vars["a"] != "b" {
		t.Errorf("member is %+v, %v", m, err)
	}
	ok(t, c.DeleteMember(ctx, "ann@go.test", "all@example.com"))
	ok(t, c.DeleteMailingList(ctx, "all@example.com"))
	r, err := c.CreateRoute(ctx, mailgun.Route{Expression: "catch_all()", Actions: []string{"stop()"}})
	ok(t, err)
	if got, err := c.GetRoute(ctx, r.Id); err != nil || got.Expression != "catch_all()" {
		t.Errorf("route is %+v, %v", got, err)
	}
	ok(t, c.DeleteRoute(ctx, r.Id))
}

func (c *goClient4) subaccounts(t *testing.T) {
	ctx := t.Context()
	created, err := c.CreateSubaccount(ctx, "old branch")
	ok(t, err)
	if got, err := c.GetSubaccount(ctx, created.Item.Id); err != nil || got.Item.Name != "old branch" || got.Item.Status != "open" {
		t.Errorf("sub-account is %+v, %v", got, err)
	}
	if got, err := c.DisableSubaccount(ctx, created.Item.Id); err != nil || got.Item.Status != "disabled" {
		t.Errorf("sub-account is %+v, %v", got, err)
	}
}
