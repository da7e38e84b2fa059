package apiclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An Impact is what each pair of TLS flags would do to a sending domain's mail.
type Impact struct {
	Domain string `json:"domain"`
	Days   int    `json:"days"`
	Scan   struct {
		Events      int       `json:"events"`
		Complete    bool      `json:"complete"`
		CoveredFrom time.Time `json:"covered-from"`
		CutBy       string    `json:"cut-by"`
	} `json:"scan"`
	Messages    int                     `json:"messages"` // every recipient of a message once
	OwnFlags    int                     `json:"messages-with-own-flags"`
	Pairs       []ImpactPair            `json:"pairs"`
	Recipients  []ImpactRecipient       `json:"recipients"` // most messages first
	Others      *struct{ Messages int } `json:"others"`     // domains beyond those listed
	Warnings    []ImpactWarning         `json:"warnings"`
	Suggestions []ImpactSuggestion      `json:"suggestions"`
	Probes      *struct {
		Wanted   int `json:"wanted"`
		Made     int `json:"made"`
		Reused   int `json:"reused"`
		Declined int `json:"declined"`
	} `json:"probes"`
}

// A FlagPair is a pair of TLS flags.
type FlagPair struct {
	RequireTLS       bool `json:"require-tls"`
	SkipVerification bool `json:"skip-verification"`
}

// An ImpactPair is what one pair would do to all of the mail.
type ImpactPair struct {
	FlagPair
	Current      bool  `json:"current"`
	Verified     Share `json:"verified"`
	Unverified   Share `json:"unverified"`
	Plaintext    Share `json:"plaintext"`
	NotDelivered Share `json:"not-delivered"`
	Unknown      Share `json:"unknown"`
}

// A Share is a part of the mail.
type Share struct {
	Messages int     `json:"messages"`
	Percent  float64 `json:"percent"`
	Domains  int     `json:"recipient-domains"`
}

// An ImpactRecipient is one recipient domain.
type ImpactRecipient struct {
	Domain   string `json:"domain"`
	Messages int    `json:"messages"`
	Facts    struct {
		From     string     `json:"from"` // history, probe, none
		At       *time.Time `json:"at"`
		AllHosts bool       `json:"all-mx-hosts-known"`
		Problem  string     `json:"probe-problem"`
	} `json:"facts"`
	Outcomes []struct {
		FlagPair
		Parts []ImpactPart `json:"parts"`
	} `json:"outcomes"`
}

// An ImpactPart is messages that would fare alike.
type ImpactPart struct {
	Messages     int      `json:"messages"`
	Delivery     string   `json:"delivery"` // verified, unverified, plaintext, not-delivered, unknown
	Result       string   `json:"result"`
	Reason       string   `json:"reason"`
	MXHost       string   `json:"mx-host"`
	VerifyErrors []string `json:"verify-errors"`
	Error        string   `json:"error"`
}

// An ImpactWarning is something that is about to change for the worse, or has.
type ImpactWarning struct {
	Kind          string     `json:"kind"`
	MXHost        string     `json:"mx-host"`
	At            *time.Time `json:"at"`
	VerifiedUntil *time.Time `json:"verified-until"`
	Messages      int        `json:"messages"`
	Domains       int        `json:"recipient-domains"`
	Named         []string   `json:"recipients"`
	Loses         []FlagPair `json:"loses"`
	Current       bool       `json:"current"`
	Undelivered   bool       `json:"undelivered"`
}

// An ImpactSuggestion is an exception that would keep recipient domains deliverable.
type ImpactSuggestion struct {
	Target   string     `json:"target"`
	TargetIs string     `json:"target-is"` // recipient-domain or mx-host
	Sets     string     `json:"sets"`
	Flags    []FlagPair `json:"flags"`
	Domains  int        `json:"recipient-domains"`
	Messages int        `json:"messages"`
	Delivery string     `json:"delivery"`
	Because  string     `json:"because"`
	MXHost   string     `json:"mx-host"`
}

// Impact says what each pair of flags would do to a sending domain's mail, by that of the
// last days. With probe the server may look at recipient domains of which it knows too little.
func (c *Client) Impact(ctx context.Context, domain string, days int, probe bool) (Answer[Impact], error) {
	query := url.Values{"days": {strconv.Itoa(days)}}
	if probe {
		query.Set("probe", "yes")
	}
	return do[Impact](ctx, c, call{method: http.MethodGet, path: []string{"v3", "domains", domain, "connection", "impact"}, query: query, timeout: 5 * time.Minute})
}
