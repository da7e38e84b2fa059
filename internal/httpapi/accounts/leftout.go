package accounts

import (
	"net/http"

	"github.com/sealpost/sealpost/internal/httpapi/door"
)

// leftOut are calls that clients know and this server does not have, with why. They are answered like
// other things that are not there, so that a client's person reads the reason.
func leftOut() []door.Route {
	const (
		limits  = "this server has no monthly sending limits; API keys have limits by the minute and the day"
		sandbox = "this server has no sandbox domains"
		account = "an account of this server has nothing to set"
		x509    = "certificates of tracking hosts are the operator's on this server"
		classes = "this server classifies no bounces beyond the reason and bounce-type of each failed event"
		stored  = "stored messages go by themselves when their time is over"
	)
	var table []door.Route
	for _, r := range []struct{ method, pattern, why string }{
		{"GET", "/v5/accounts/limit/custom/monthly", limits},
		{"PUT", "/v5/accounts/limit/custom/monthly", limits},
		{"DELETE", "/v5/accounts/limit/custom/monthly", limits},
		{"PUT", "/v5/accounts/limit/custom/enable", limits},
		{"GET", "/v5/accounts/subaccounts/{id}/limit/custom/monthly", limits},
		{"PUT", "/v5/accounts/subaccounts/{id}/limit/custom/monthly", limits},
		{"DELETE", "/v5/accounts/subaccounts/{id}/limit/custom/monthly", limits},
		{"PUT", "/v5/accounts", account},
		{"GET", "/v5/sandbox/auth_recipients", sandbox},
		{"POST", "/v5/sandbox/auth_recipients", sandbox},
		{"DELETE", "/v5/sandbox/auth_recipients/{email}", sandbox},
		{"POST", "/v2/x509/{host}", x509},
		{"PUT", "/v2/x509/{host}", x509},
		{"GET", "/v2/x509/{host}/status", x509},
		{"GET", "/v1/bounce-classification/config/entities", classes},
		{"GET", "/v1/bounce-classification/config/rules", classes},
		{"GET", "/v1/bounce-classification/domains", classes},
		{"GET", "/v1/bounce-classification/domains/{host}/entities", classes},
		{"GET", "/v1/bounce-classification/domains/{host}/entities/{id}/rules", classes},
		{"GET", "/v1/bounce-classification/domains/{host}/events", classes},
		{"GET", "/v1/bounce-classification/stats", classes},
		{"POST", "/v2/bounce-classification/metrics", classes},
		{"DELETE", "/v3/domains/{domain}/messages/{key}", stored},
	} {
		table = append(table, door.On(r.method, r.pattern, door.Account, notServed(r.why)))
	}
	return table
}

// notServed answers 404 with the reason why this server does not have the call.
func notServed(why string) func(http.ResponseWriter, *door.Request) error {
	return func(http.ResponseWriter, *door.Request) error { return door.NotFound("Not Found: " + why) }
}
