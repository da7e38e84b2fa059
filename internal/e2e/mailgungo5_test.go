package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailgun/mailgun-go/v5"
	"github.com/mailgun/mailgun-go/v5/events"
	"github.com/mailgun/mailgun-go/v5/mtypes"

	"github.com/sealpost/sealpost/internal/smtptest"
)

// The official Go client in its current version drives a running server through every
// core area. Nothing of it is changed but the base URL and the key.
func TestMailgunGoV5(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rg := w.start(t)
	rg.open(t, "example.com")
	mg := mailgun.NewMailgun(apiKey)
	if err := mg.SetAPIBase(rg.base); err != nil {
		t.Fatal(err)
	}
	c := &goClient5{Client: mg, rig: rg, world: w}
	for _, area := range []struct {
		name string
		run  func(*goClient5, *testing.T)
	}{
		{"messages", (*goClient5).messages},
		{"batch", (*goClient5).batch},
		{"domains", (*goClient5).domains},
		{"connection", (*goClient5).connection},
		{"tracking", (*goClient5).tracking},
		{"DKIM keys", (*goClient5).domainKeys},
		{"credentials", (*goClient5).credentials},
		{"suppressions", (*goClient5).suppressions},
		{"webhooks", (*goClient5).webhooks},
		{"templates", (*goClient5).templates},
		{"tags", (*goClient5).tags},
		{"metrics", (*goClient5).metrics},
		{"lists", (*goClient5).lists},
		{"routes", (*goClient5).routes},
		{"IPs", (*goClient5).ips},
		{"API keys", (*goClient5).apiKeys},
		{"subaccounts", (*goClient5).subaccounts},
		{"errors", (*goClient5).errors},
	} {
		t.Run(area.name, func(t *testing.T) { area.run(c, t) })
	}
}

type goClient5 struct {
	*mailgun.Client
	rig   *rig
	world *world
}

const domain5 = "example.com"

// ok fails the test for what a call must not return.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func isTrue(b *bool) bool { return b != nil && *b }

// status returns the HTTP status that an error of the client carries; 0 if none.
func status(err error) int {
	var e *mailgun.UnexpectedResponseError
	if errors.As(err, &e) {
		return e.Actual
	}
	return 0
}

// A message with everything, delivered over verified TLS, found again in the log.
func (c *goClient5) messages(t *testing.T) {
	mx := c.world.receive(t, "gomsg", smtptest.Valid, smtptest.Behaviour{})
	m := mailgun.NewMessage(domain5, "Bob <bob@example.com>", "Grüße", "text", mx.address())
	m.SetHTML("<p>html</p>")
	m.AddCC("Cy <cy@" + mx.domain + ">")
	m.AddBCC("dan@" + mx.domain)
	m.SetReplyTo("reply@example.com")
	m.AddHeader("X-My-Header", "yes")
	ok(t, m.AddTag("go5"))
	ok(t, m.AddVariable("order", "17"))
	m.AddBufferAttachment("a.txt", []byte("attached"))
	m.SetRequireTLS(true)
	m.SetSkipVerification(false)
	resp, err := c.Send(t.Context(), m)
	ok(t, err)
	if !strings.HasPrefix(resp.ID, "<") || resp.Message != "Queued. Thank you." {
		t.Errorf("answer is %+v", resp)
	}
	c.rig.settle(t)
	var delivered []*events.Delivered
	it := c.ListEvents(domain5, &mailgun.ListEventOptions{Filter: map[string]string{"event": "delivered", "tags": "go5"}, ForceAscending: true})
	var page []events.Event
	for it.Next(t.Context(), &page) && len(page) > 0 {
		for _, e := range page {
			delivered = append(delivered, e.(*events.Delivered))
		}
	}
	ok(t, it.Err())
	if len(delivered) != 3 {
		t.Fatalf("%d delivered events", len(delivered))
	}
	for _, e := range delivered {
		if !isTrue(e.DeliveryStatus.TLS) || !isTrue(e.DeliveryStatus.CertificateVerified) || e.DeliveryStatus.MxHost != mx.host || e.DeliveryStatus.Code != 250 {
			t.Errorf("delivery status is %+v", e.DeliveryStatus)
		}
		if e.Message.Headers.MessageID != strings.Trim(resp.ID, "<>") {
			t.Errorf("message id is %s", e.Message.Headers.MessageID)
		}
	}
	stored, err := c.GetStoredMessage(t.Context(), delivered[0].Storage.URL)
	ok(t, err)
	if stored.Subject != "Grüße" || len(stored.Attachments) != 1 {
		t.Errorf("stored message is %+v", stored)
	}
	raw, err := c.GetStoredMessageRaw(t.Context(), delivered[0].Storage.URL)
	ok(t, err)
	if !strings.Contains(raw.BodyMime, "X-My-Header: yes") {
		t.Error("the raw message lacks its header")
	}
	file, err := c.GetStoredAttachment(t.Context(), stored.Attachments[0].URL)
	ok(t, err)
	if string(file) != "attached" {
		t.Errorf("attachment is %q", file)
	}
	again, err := c.ReSend(t.Context(), delivered[0].Storage.URL, mx.address())
	ok(t, err)
	if again.Message != "Queued. Thank you." {
		t.Errorf("resend answered %+v", again)
	}
	c.rig.settle(t)
	if n := len(mx.Messages()); n < 2 {
		t.Errorf("the receiver got %d messages", n)
	}
}

// One call for many recipients, one copy each, with their own values.
func (c *goClient5) batch(t *testing.T) {
	mx := c.world.receive(t, "gobatch", smtptest.Valid, smtptest.Behaviour{})
	m := mailgun.NewMessage(domain5, "bob@example.com", "Hi %recipient.name%", "You are %recipient.name%, number %recipient.n%.")
	for i := range 20 {
		ok(t, m.AddRecipientAndVariables(fmt.Sprintf("r%d@%s", i, mx.domain), map[string]any{"name": fmt.Sprintf("Name %d", i), "n": i}))
	}
	m.SetDeliveryTime(time.Now().Add(-time.Minute)) // past: now
	_, err := c.Send(t.Context(), m)
	ok(t, err)
	c.rig.settle(t)
	got := map[string]bool{}
	for _, msg := range mx.Messages() {
		got[string(msg.Content)] = true
	}
	if len(got) != 20 {
		t.Errorf("%d different copies", len(got))
	}
	for i := range 20 {
		want := fmt.Sprintf("You are Name %d, number %d.", i, i)
		if !slices.ContainsFunc(mx.Messages(), func(m smtptest.Message) bool { return strings.Contains(string(m.Content), want) }) {
			t.Errorf("no copy says %q", want)
		}
	}
}

func (c *goClient5) domains(t *testing.T) {
	created, err := c.CreateDomain(t.Context(), "new.example.com", &mailgun.CreateDomainOptions{Password: "supersecret", SpamAction: mtypes.SpamActionTag, Wildcard: true, WebScheme: "https"})
	ok(t, err)
	if created.Domain.Name != "new.example.com" || len(created.SendingDNSRecords) < 2 {
		t.Errorf("created %+v", created)
	}
	yes := true
	ok(t, c.UpdateDomain(t.Context(), "new.example.com", &mailgun.UpdateDomainOptions{RequireTLS: &yes, WebPrefix: "track"}))
	shown, err := c.GetDomain(t.Context(), "new.example.com", nil)
	ok(t, err)
	if !shown.Domain.RequireTLS || shown.Domain.SkipVerification || shown.Domain.WebPrefix != "track" || shown.Domain.WebScheme != "https" || shown.Domain.CreatedAt.IsZero() {
		t.Errorf("shown %+v", shown.Domain)
	}
	if _, err := c.VerifyDomain(t.Context(), "new.example.com"); err != nil {
		t.Error(err)
	}
	it := c.ListDomains(&mailgun.ListDomainsOptions{Limit: 1})
	var names []string
	var page []mtypes.Domain
	for it.Next(t.Context(), &page) {
		for _, d := range page {
			names = append(names, d.Name)
		}
	}
	ok(t, it.Err())
	if !slices.Equal(names, []string{"new.example.com", domain5}) {
		t.Errorf("domains are %v", names)
	}
	ok(t, c.UpdateDomainDkimSelector(t.Context(), "new.example.com", "s2"))
	ok(t, c.DeleteDomain(t.Context(), "new.example.com"))
	if _, err := c.GetDomain(t.Context(), "new.example.com", nil); status(err) != 404 {
		t.Errorf("after the deletion: %v", err)
	}
}

func (c *goClient5) connection(t *testing.T) {
	yes, no := true, false
	for _, want := range [][2]*bool{{&yes, &no}, {&no, &yes}, {&no, &no}} {
		ok(t, c.UpdateDomain(t.Context(), domain5, &mailgun.UpdateDomainOptions{RequireTLS: want[0], SkipVerification: want[1]}))
		got, err := c.GetDomain(t.Context(), domain5, nil)
		ok(t, err)
		if got.Domain.RequireTLS != *want[0] || got.Domain.SkipVerification != *want[1] {
			t.Errorf("got %+v, want %v %v", got.Domain, *want[0], *want[1])
		}
	}
}

func (c *goClient5) tracking(t *testing.T) {
	ok(t, c.UpdateClickTracking(t.Context(), domain5, "htmlonly")) // which this client sets, but cannot read
	ok(t, c.UpdateClickTracking(t.Context(), domain5, "yes"))
	ok(t, c.UpdateOpenTracking(t.Context(), domain5, "yes"))
	ok(t, c.UpdateUnsubscribeTracking(t.Context(), domain5, "yes", "<p><a href=\"%unsubscribe_url%\">away</a></p>", "away: %unsubscribe_url%"))
	got, err := c.GetDomainTracking(t.Context(), domain5)
	ok(t, err)
	if !got.Open.Active || !got.Unsubscribe.Active || !strings.Contains(got.Unsubscribe.TextFooter, "away") {
		t.Errorf("tracking is %+v", got)
	}
	for _, off := range []error{
		c.UpdateClickTracking(t.Context(), domain5, "no"), c.UpdateOpenTracking(t.Context(), domain5, "no"),
		c.UpdateUnsubscribeTracking(t.Context(), domain5, "no", got.Unsubscribe.HTMLFooter, got.Unsubscribe.TextFooter),
	} {
		ok(t, off)
	}
}

func (c *goClient5) domainKeys(t *testing.T) {
	key, err := c.CreateDomainKey(t.Context(), domain5, "second", &mailgun.CreateDomainKeyOptions{Bits: 2048})
	ok(t, err)
	if key.Selector != "second" || !strings.HasPrefix(key.DNSRecord.Value, "k=rsa; p=") {
		t.Errorf("created %+v", key)
	}
	ok(t, c.ActivateDomainKey(t.Context(), domain5, "second"))
	all := c.ListAllDomainsKeys(&mailgun.ListAllDomainsKeysOptions{Limit: 1})
	var selectors []string
	var page []mtypes.DomainKey
	for all.Next(t.Context(), &page) && len(page) > 0 {
		for _, k := range page {
			selectors = append(selectors, k.Selector)
		}
	}
	ok(t, all.Err())
	if len(selectors) != 2 || !slices.Contains(selectors, "second") {
		t.Errorf("selectors are %v", selectors)
	}
	own := c.ListDomainKeys(domain5)
	own.Next(t.Context(), &page) // tells whether there are more
	if own.Err() != nil || len(page) != 2 {
		t.Errorf("the domain's keys are %+v, %v", page, own.Err())
	}
	ok(t, c.DeactivateDomainKey(t.Context(), domain5, "second"))
	ok(t, c.DeleteDomainKey(t.Context(), domain5, "second"))
}

func (c *goClient5) credentials(t *testing.T) {
	ok(t, c.CreateCredential(t.Context(), domain5, "carol@example.com", "longpassword"))
	ok(t, c.ChangeCredentialPassword(t.Context(), domain5, "carol", "otherpassword"))
	it := c.ListCredentials(domain5, nil)
	var page []mtypes.Credential
	found := false
	for it.Next(t.Context(), &page) && len(page) > 0 {
		found = found || slices.ContainsFunc(page, func(x mtypes.Credential) bool {
			return x.Login == "carol@example.com" && !time.Time(x.CreatedAt).IsZero()
		})
	}
	ok(t, it.Err())
	if !found {
		t.Error("the login is not listed")
	}
	ok(t, c.DeleteCredential(t.Context(), domain5, "carol"))
}

func (c *goClient5) suppressions(t *testing.T) {
	ctx := t.Context()
	mx := c.world.receive(t, "gosup", smtptest.Valid, smtptest.Behaviour{})
	bounced, gone, complained := "b@"+mx.domain, "u@"+mx.domain, "c@"+mx.domain
	ok(t, c.AddBounce(ctx, domain5, bounced, "550", "no such user"))
	ok(t, c.AddBounces(ctx, domain5, []mtypes.Bounce{{Address: "b2@" + mx.domain, Code: "551"}, {Address: "b3@" + mx.domain, Code: "552"}}))
	ok(t, c.CreateUnsubscribe(ctx, domain5, gone, "*"))
	ok(t, c.CreateUnsubscribes(ctx, domain5, []mtypes.Unsubscribe{{Address: "u2@" + mx.domain, Tags: []string{"news"}}}))
	ok(t, c.CreateComplaint(ctx, domain5, complained))
	ok(t, c.CreateComplaints(ctx, domain5, []string{"c2@" + mx.domain, "c3@" + mx.domain}))
	b, err := c.GetBounce(ctx, domain5, bounced)
	ok(t, err)
	if b.Code != "550" || b.Error != "no such user" || time.Time(b.CreatedAt).IsZero() {
		t.Errorf("bounce is %+v", b)
	}
	u, err := c.GetUnsubscribe(ctx, domain5, "u2@"+mx.domain)
	ok(t, err)
	if !slices.Equal(u.Tags, []string{"news"}) {
		t.Errorf("unsubscribe is %+v", u)
	}
	if _, err := c.GetComplaint(ctx, domain5, complained); err != nil {
		t.Error(err)
	}
	it := c.ListBounces(domain5, &mailgun.ListOptions{Limit: 2})
	var page []mtypes.Bounce
	n := 0
	for it.Next(ctx, &page) && len(page) > 0 {
		n += len(page)
	}
	ok(t, it.Err())
	if n != 3 {
		t.Errorf("%d bounces are listed", n)
	}
	if n := countUnsubscribes(ctx, t, c.ListUnsubscribes(domain5, &mailgun.ListOptions{Limit: 1})); n != 2 {
		t.Errorf("%d unsubscribes are listed", n)
	}
	m := mailgun.NewMessage(domain5, "bob@example.com", "Hi", "text", bounced, gone, complained, "fine@"+mx.domain)
	ok(t, m.AddTag("gosup"))
	_, err = c.Send(ctx, m)
	ok(t, err)
	c.rig.settle(t)
	codes := map[string]int{}
	events5(t, c, "gosup", func(e events.Event) {
		if f, isFailed := e.(*events.Failed); isFailed {
			codes[f.Recipient] = f.DeliveryStatus.Code
		}
	})
	if codes[bounced] != 605 || codes[gone] != 606 || codes[complained] != 607 || len(codes) != 3 {
		t.Errorf("codes are %v", codes)
	}
	ok(t, c.DeleteBounce(ctx, domain5, bounced))
	ok(t, c.DeleteBounceList(ctx, domain5))
	ok(t, c.DeleteUnsubscribe(ctx, domain5, gone))
	ok(t, c.DeleteUnsubscribeWithTag(ctx, domain5, "u2@"+mx.domain, "news"))
	ok(t, c.DeleteComplaint(ctx, domain5, complained))
	if _, err := c.GetBounce(ctx, domain5, bounced); status(err) != 404 {
		t.Errorf("a bounce that is gone: %v", err)
	}
}

func countUnsubscribes(ctx context.Context, t *testing.T, it *mailgun.UnsubscribesIterator) (n int) {
	t.Helper()
	var page []mtypes.Unsubscribe
	for it.Next(ctx, &page) && len(page) > 0 {
		n += len(page)
	}
	ok(t, it.Err())
	return n
}

// events5 calls f with every event of a tag.
func events5(t *testing.T, c *goClient5, tag string, f func(events.Event)) {
	t.Helper()
	it := c.ListEvents(domain5, &mailgun.ListEventOptions{Filter: map[string]string{"tags": tag}, ForceAscending: true})
	var page []events.Event
	for it.Next(t.Context(), &page) && len(page) > 0 {
		for _, e := range page {
			f(e)
		}
	}
	ok(t, it.Err())
}

func (c *goClient5) webhooks(t *testing.T) {
	ctx := t.Context()
	ok(t, c.CreateWebhook(ctx, domain5, "delivered", []string{"https://hooks.example.net/a", "https://hooks.example.net/b"}))
	ok(t, c.UpdateWebhook(ctx, domain5, "delivered", []string{"https://hooks.example.net/c"}))
	urls, err := c.GetWebhook(ctx, domain5, "delivered")
	ok(t, err)
	if !slices.Equal(urls, []string{"https://hooks.example.net/c"}) {
		t.Errorf("urls are %v", urls)
	}
	all, err := c.ListWebhooks(ctx, domain5)
	ok(t, err)
	if len(all) != 1 || len(all["delivered"]) != 1 {
		t.Errorf("webhooks are %v", all)
	}
	ok(t, c.DeleteWebhook(ctx, domain5, "delivered"))
	if _, err := c.GetWebhook(ctx, domain5, "delivered"); status(err) != 404 {
		t.Errorf("a webhook that is gone: %v", err)
	}
}

func (c *goClient5) templates(t *testing.T) {
	ctx := t.Context()
	ok(t, c.CreateTemplate(ctx, domain5, &mtypes.Template{
		Name: "Welcome", Description: "first", Version: mtypes.TemplateVersion{Tag: "v1", Template: "<p>Hello {{name}}</p>", Engine: mtypes.TemplateEngineHandlebars, Comment: "one"},
	}))
	ok(t, c.AddTemplateVersion(ctx, domain5, "welcome", &mtypes.TemplateVersion{Tag: "v2", Template: "<p>Bye {{name}}</p>", Engine: mtypes.TemplateEngineHandlebars, Active: true}))
	tpl, err := c.GetTemplate(ctx, domain5, "welcome")
	ok(t, err)
	if tpl.Name != "welcome" || tpl.Version.Tag != "v2" || time.Time(tpl.CreatedAt).IsZero() {
		t.Errorf("template is %+v", tpl)
	}
	v, err := c.GetTemplateVersion(ctx, domain5, "welcome", "v1")
	ok(t, err)
	if !strings.Contains(v.Template, "{{name}}") || v.Active {
		t.Errorf("version is %+v", v)
	}
	ok(t, c.UpdateTemplateVersion(ctx, domain5, "welcome", &mtypes.TemplateVersion{Tag: "v1", Comment: "changed", Active: true}))
	ok(t, c.UpdateTemplate(ctx, domain5, &mtypes.Template{Name: "welcome", Description: "second"}))
	versions := c.ListTemplateVersions(domain5, "welcome", &mailgun.ListOptions{Limit: 1})
	var vs []mtypes.TemplateVersion
	n := 0
	for versions.Next(ctx, &vs) && len(vs) > 0 {
		n += len(vs)
	}
	ok(t, versions.Err())
	if n != 2 {
		t.Errorf("%d versions are listed", n)
	}
	mx := c.world.receive(t, "gotpl", smtptest.Valid, smtptest.Behaviour{})
	m := mailgun.NewMessage(domain5, "bob@example.com", "Hi", "", mx.address())
	m.SetTemplate("Welcome")
	ok(t, m.AddTemplateVariable("name", "Ann <3"))
	_, err = c.Send(ctx, m)
	ok(t, err)
	c.rig.settle(t)
	if got := mx.Messages(); len(got) != 1 || !strings.Contains(string(got[0].Content), "Hello Ann &lt;3") {
		t.Errorf("the receiver got %d messages: %q", len(got), contents(got))
	}
	list := c.ListTemplates(domain5, nil)
	var ts []mtypes.Template
	if !list.Next(ctx, &ts) || len(ts) != 1 {
		t.Errorf("templates are %+v, %v", ts, list.Err())
	}
	ok(t, c.DeleteTemplateVersion(ctx, domain5, "welcome", "v2"))
	ok(t, c.DeleteTemplate(ctx, domain5, "welcome"))
}

func (c *goClient5) tags(t *testing.T) {
	ctx := t.Context()
	var tag mtypes.Tag
	await(t, "the tags to be counted", func() bool {
		_, err := c.GetTag(ctx, domain5, "gosup")
		if err != nil {
			return false
		}
		tag, err = c.GetTag(ctx, domain5, "go5")
		return err == nil
	})
	if tag.Value != "go5" || tag.FirstSeen == nil || tag.FirstSeen.IsZero() || tag.LastSeen == nil {
		t.Errorf("tag is %+v", tag)
	}
	it := c.ListTags(domain5, &mailgun.ListTagOptions{Limit: 10}) // this client reads one page of tags, whatever the links say
	var page []mtypes.Tag
	n := 0
	for it.Next(ctx, &page) && len(page) > 0 {
		n += len(page)
	}
	ok(t, it.Err())
	if n < 2 {
		t.Errorf("%d tags are listed", n)
	}
	limits, err := c.GetTagLimits(ctx, domain5)
	ok(t, err)
	if limits.Limit <= 0 || limits.Count < 2 {
		t.Errorf("limits are %+v", limits)
	}
	ok(t, c.DeleteTag(ctx, domain5, "gosup"))
	if _, err := c.GetTag(ctx, domain5, "gosup"); status(err) != 404 {
		t.Errorf("a tag that is gone: %v", err)
	}
}

func (c *goClient5) metrics(t *testing.T) {
	opts := mailgun.MetricsOptions{
		Start: mtypes.RFC2822Time(time.Now().Add(-24 * time.Hour)), End: mtypes.RFC2822Time(time.Now().Add(time.Hour)), Resolution: mtypes.ResolutionHour,
		Dimensions: []string{"domain"}, Metrics: []string{"accepted_count", "delivered_count", "delivered_rate"}, IncludeAggregates: true,
		Pagination: mtypes.MetricsPagination{Limit: 10},
	}
	await(t, "the deliveries to be counted", func() bool {
		it, err := c.ListMetrics(opts)
		ok(t, err)
		var resp mtypes.MetricsResponse
		it.Next(t.Context(), &resp)
		ok(t, it.Err())
		return len(resp.Items) > 0 && resp.Items[0].Metrics.DeliveredCount != nil && *resp.Items[0].Metrics.DeliveredCount >= 3 && resp.Items[0].Metrics.DeliveredRate != ""
	})
}

func (c *goClient5) errors(t *testing.T) {
	ctx := t.Context()
	stranger := mailgun.NewMailgun("wrong")
	ok(t, stranger.SetAPIBase(c.rig.base))
	if _, err := stranger.GetDomain(ctx, domain5, nil); status(err) != 401 {
		t.Errorf("a wrong key: %v", err)
	}
	if _, err := c.Send(ctx, mailgun.NewMessage("unknown.test", "a@unknown.test", "x", "y", "b@example.net")); status(err) != 404 {
		t.Errorf("an unknown domain: %v", err)
	}
	if _, err := c.Send(ctx, mailgun.NewMessage(domain5, "not an address", "x", "y", "b@example.net")); status(err) != 400 {
		t.Errorf("a bad sender: %v", err)
	}
}

// contents returns what the messages hold.
func contents(messages []smtptest.Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, string(m.Content))
	}
	return all
}

func readCloser(s string) io.ReadCloser { return io.NopCloser(strings.NewReader(s)) }
