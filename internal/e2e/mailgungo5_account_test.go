package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/mailgun/mailgun-go/v5"
	"github.com/mailgun/mailgun-go/v5/mtypes"
)

// The calls of the current Go client that concern the account rather than one domain.

func (c *goClient5) lists(t *testing.T) {
	ctx := t.Context()
	// The client looks for the list where Mailgun's answer does not have it, so it is read once more.
	_, err := c.CreateMailingList(ctx, mtypes.MailingList{Address: "team@example.com", Name: "Team", AccessLevel: mtypes.AccessLevelMembers})
	ok(t, err)
	list, err := c.GetMailingList(ctx, "team@example.com")
	ok(t, err)
	if list.Address != "team@example.com" || time.Time(list.CreatedAt).IsZero() {
		t.Errorf("list is %+v", list)
	}
	yes := true
	ok(t, c.CreateMember(ctx, true, "team@example.com", mtypes.Member{Address: "ann@example.net", Name: "Ann", Subscribed: &yes, Vars: map[string]any{"age": 7}}))
	ok(t, c.CreateMemberList(ctx, &yes, "team@example.com", []any{mtypes.Member{Address: "bo@example.net"}, mtypes.Member{Address: "cy@example.net"}}))
	member, err := c.GetMember(ctx, "ann@example.net", "team@example.com")
	ok(t, err)
	if member.Name != "Ann" || fmt.Sprint(member.Vars["age"]) != "7" {
		t.Errorf("member is %+v", member)
	}
	_, err = c.UpdateMember(ctx, "ann@example.net", "team@example.com", mtypes.Member{Name: "Anna"})
	ok(t, err)
	it := c.ListMembers("team@example.com", &mailgun.ListOptions{Limit: 2})
	var page []mtypes.Member
	n := 0
	for it.Next(ctx, &page) && len(page) > 0 {
		n += len(page)
	}
	ok(t, it.Err())
	if n != 3 {
		t.Errorf("%d members are listed", n)
	}
	got, err := c.GetMailingList(ctx, "team@example.com")
	ok(t, err)
	if got.MembersCount != 3 {
		t.Errorf("list is %+v", got)
	}
	_, err = c.UpdateMailingList(ctx, "team@example.com", mtypes.MailingList{Description: "all of us"})
	ok(t, err)
	lists := c.ListMailingLists(nil)
	var ls []mtypes.MailingList
	if !lists.Next(ctx, &ls) || len(ls) != 1 {
		t.Errorf("lists are %+v, %v", ls, lists.Err())
	}
	ok(t, c.DeleteMember(ctx, "ann@example.net", "team@example.com"))
	ok(t, c.DeleteMailingList(ctx, "team@example.com"))
}

func (c *goClient5) routes(t *testing.T) {
	ctx := t.Context()
	r, err := c.CreateRoute(ctx, mtypes.Route{Priority: 1, Description: "one", Expression: `match_recipient(".*@example.com")`, Actions: []string{`forward("https://hooks.example.net/in")`, "stop()"}})
	ok(t, err)
	if r.Id == "" || time.Time(r.CreatedAt).IsZero() {
		t.Errorf("route is %+v", r)
	}
	if _, err = c.UpdateRoute(ctx, r.Id, mtypes.Route{Priority: 2}); err != nil {
		t.Error(err)
	}
	got, err := c.GetRoute(ctx, r.Id)
	ok(t, err)
	if got.Priority != 2 || len(got.Actions) != 2 {
		t.Errorf("route is %+v", got)
	}
	it := c.ListRoutes(nil)
	var page []mtypes.Route
	if !it.Next(ctx, &page) || len(page) != 1 {
		t.Errorf("routes are %+v, %v", page, it.Err())
	}
	ok(t, c.DeleteRoute(ctx, r.Id))
}

func (c *goClient5) ips(t *testing.T) {
	ctx := t.Context()
	if _, err := c.ListIPs(ctx, false, false); err != nil {
		t.Error(err)
	}
	if _, err := c.ListDomainIPs(ctx, domain5); err != nil {
		t.Error(err)
	}
}

func (c *goClient5) apiKeys(t *testing.T) {
	ctx := t.Context()
	key, err := c.CreateAPIKey(ctx, "sending", &mailgun.CreateAPIKeyOptions{Kind: "domain", DomainName: domain5, Description: "app"})
	ok(t, err)
	if key.Secret == "" || key.ID == "" {
		t.Errorf("key is %+v", key)
	}
	sender := mailgun.NewMailgun(key.Secret)
	ok(t, sender.SetAPIBase(c.rig.base))
	m := mailgun.NewMessage(domain5, "bob@example.com", "Hi", "text", "nobody@"+domain5)
	m.EnableTestMode()
	if _, err := sender.Send(ctx, m); err != nil {
		t.Error(err)
	}
	if _, err := sender.GetDomain(ctx, domain5, nil); status(err) != 401 {
		t.Errorf("a sending key reads domains: %v", err)
	}
	list, err := c.ListAPIKeys(ctx, &mailgun.ListAPIKeysOptions{DomainName: domain5, Kind: "domain"})
	ok(t, err)
	if len(list) != 1 || list[0].Secret != "" {
		t.Errorf("keys are %+v", list)
	}
	ok(t, c.DeleteAPIKey(ctx, key.ID))
	if _, err := sender.Send(ctx, m); status(err) != 401 {
		t.Errorf("a key that is gone sends: %v", err)
	}
}

func (c *goClient5) subaccounts(t *testing.T) {
	ctx := t.Context()
	created, err := c.CreateSubaccount(ctx, "branch")
	ok(t, err)
	id := created.Item.ID
	branch := mailgun.NewMailgun(apiKey)
	ok(t, branch.SetAPIBase(c.rig.base))
	branch.SetHTTPClient(&http.Client{Timeout: patience, Transport: onBehalfOf(id)}) // the client itself sends the field with messages only
	if _, err := branch.CreateDomain(ctx, "branch.test", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := branch.GetDomain(ctx, domain5, nil); status(err) != 404 {
		t.Errorf("a sub-account sees its parent's domain: %v", err)
	}
	if _, err := c.GetDomain(ctx, "branch.test", nil); status(err) != 404 {
		t.Errorf("the parent sees a sub-account's domain as its own: %v", err)
	}
	c.rig.operate(t, "PUT", "/v1/sealpost/domains/branch.test/state", url.Values{"state": {"active"}})
	sender := mailgun.NewMailgun(apiKey)
	ok(t, sender.SetAPIBase(c.rig.base))
	m := mailgun.NewMessage("branch.test", "bob@branch.test", "Hi", "text", "nobody@branch.test")
	m.EnableTestMode()
	if _, err := sender.Send(ctx, m); status(err) != 404 {
		t.Errorf("the parent sends as a sub-account without saying so: %v", err)
	}
	sender.SetOnBehalfOfSubaccount(id)
	if _, err := sender.Send(ctx, m); err != nil {
		t.Error(err)
	}
	if _, err := c.DisableSubaccount(ctx, id); err != nil {
		t.Error(err)
	}
	if _, err := c.EnableSubaccount(ctx, id); err != nil {
		t.Error(err)
	}
	it := c.ListSubaccounts(nil)
	var page []mtypes.Subaccount
	if !it.Next(ctx, &page) || len(page) != 1 || page[0].Name != "branch" {
		t.Errorf("sub-accounts are %+v, %v", page, it.Err())
	}
}

// onBehalfOf is a transport that acts for a sub-account.
type onBehalfOf string

// RoundTrip adds the field.
func (id onBehalfOf) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(mailgun.OnBehalfOfHeader, string(id))
	return http.DefaultTransport.RoundTrip(r)
}
