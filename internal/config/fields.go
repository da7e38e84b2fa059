package config

import (
	"errors"
	"fmt"
	"time"
)

// field is one setting. The table of fields is the only place that knows its name, its default and
// its meaning; the parser, the reference page and the sample file follow it.
type field struct {
	key string // section.name, as in the file
	// target returns a pointer to the value in c: *string, *int, *bool,
	// *time.Duration, a slice, or a named string.
	target func(c *Config) any
	// value is the default as TOML writes it.
	value string
	// automatic describes a default that depends on other settings.
	automatic string
	// example is shown in the sample where the default says little.
	example string
	doc     string
	path    bool // relative to the folder of the file
	secret  bool // may hold a password, and is never shown in a mistake
	// check refuses a value, saying why and what to write instead.
	check func(c *Config) error
}

// section is one table of the file.
type section struct {
	name   string
	doc    string
	fields []field
}

// sections returns the table of settings, in the order of the file.
func sections() []section {
	return []section{
		{"server", "The host, and where it keeps its data.", serverFields()},
		{"http", "The HTTP API.", httpFields()},
		{"submission", "SMTP submission. It is off until there is a certificate or a trusted network.", submissionFields()},
		{"acme", "Certificates from a certification authority (RFC 8555, such as Let's Encrypt), got and renewed without a restart, where `http.tls` or `submission.tls` is `acme`. " +
			"They are kept in `server.data_dir`. Use means that you agree to the authority's terms of service.", acmeFields()},
		{"accept", "What a message must be like, on both doors.", acceptFields()},
		{"delivery", "How mail leaves for the MX hosts of its recipients.", deliveryFields()},
		{"tlsrpt", "Daily reports about TLS to recipient domains that ask for them (RFC 8460). They are off until `tlsrpt.from` is set.", tlsrptFields()},
		{"webhooks", "Calls that tell users' servers of events.", webhookFields()},
		{"database", "Where queue and log live.", []field{{
			key: "database.url", target: func(c *Config) any { return &c.Database.URL }, value: `""`,
			doc:   "Empty is the embedded store in `server.data_dir`. PostgreSQL (`postgres://…`) is not available in this version.",
			check: checkDatabase, secret: true,
		}}},
		{"retention", "How long what is finished is kept. What is still queued always is.", retentionFields()},
		{"log", "What the process writes to standard error.", []field{
			{key: "log.format", target: func(c *Config) any { return &c.Log.Format }, value: `"text"`,
				doc:   "`text` for people, `json` for log collectors: one object per line.",
				check: func(c *Config) error { return oneOf(c.Log.Format, LogText, LogJSON) }},
			{key: "log.level", target: func(c *Config) any { return &c.Log.Level }, value: `"info"`,
				doc:   "The least severe level that is written: `debug`, `info`, `warn` or `error`.",
				check: func(c *Config) error { return oneOf(c.Log.Level, LogDebug, LogInfo, LogWarn, LogError) }},
		}},
	}
}

func serverFields() []field {
	return []field{
		{key: "server.hostname", target: func(c *Config) any { return &c.Server.Hostname }, value: `""`, example: `"mx.example.com"`,
			doc: "Required. The full name of this host, used in greetings, EHLO, Received fields and message ids. " +
				"Receivers expect it to resolve to the address that mail comes from, and that address to resolve back to it.",
			check: checkHostname},
		{key: "server.data_dir", target: func(c *Config) any { return &c.Server.DataDir }, value: `"data"`, path: true,
			doc: "The folder of queue, log and keys. It must be on a local disk that keeps its promises: " +
				"a message is acknowledged when it is synced there.",
			check: func(c *Config) error { return notEmpty(c.Server.DataDir, `such as "/var/lib/sealpost"`) }},
	}
}

func httpFields() []field {
	return []field{
		{key: "http.listen", target: func(c *Config) any { return &c.HTTP.Listen }, value: `"127.0.0.1:8080"`,
			doc: "Address and port of the API. `:8080` is every address of this host; then use TLS, or a proxy that does.",
			check: func(c *Config) error {
				return errors.Join(notEmpty(c.HTTP.Listen, `such as "127.0.0.1:8080"`), listenAddress(c.HTTP.Listen))
			}},
		{key: "http.admin_listen", target: func(c *Config) any { return &c.HTTP.AdminListen }, value: `""`, example: `"127.0.0.1:8081"`,
			doc:   "Address and port of `/livez`, `/readyz` and `/metrics`. They ask for no key, so keep the address private. Empty turns them off.",
			check: func(c *Config) error { return listenAddress(c.HTTP.AdminListen) }},
		{key: "http.public_url", target: func(c *Config) any { return &c.HTTP.PublicURL }, value: `""`, example: `"https://mail.example.com"`,
			doc:   "The address under which clients reach the API, for links in its answers and in tracked mail. Empty: answers use what the request or `http.listen` suggests, and mail of domains without a tracking host is not tracked.",
			check: checkPublicURL},
		{key: "http.tls", target: func(c *Config) any { return &c.HTTP.TLS }, value: `"off"`,
			doc:   "`off` is plain HTTP; `files` uses `http.cert_file` and `http.key_file`; `acme` gets a certificate by itself, see [acme].",
			check: checkHTTPTLS},
		{key: "http.cert_file", target: func(c *Config) any { return &c.HTTP.CertFile }, value: `""`, example: `"tls/api.crt"`, path: true,
			doc: "PEM file with the certificate and its chain, for `http.tls = \"files\"`."},
		{key: "http.key_file", target: func(c *Config) any { return &c.HTTP.KeyFile }, value: `""`, example: `"tls/api.key"`, path: true,
			doc: "PEM file with the key of `http.cert_file`."},
	}
}

func submissionFields() []field {
	return []field{
		{key: "submission.listen", target: func(c *Config) any { return &c.Submission.Listen }, value: `""`, example: `":587"`,
			automatic: "`\":587\"` once there is a certificate or a trusted network, otherwise off",
			doc: "Address and port for submission with STARTTLS, or a list of them, such as `[\":25\", \":587\", \":2525\"]`. Empty turns it off. " +
				"AUTH is only offered inside TLS, unless `submission.auth_without_tls` says otherwise."},
		{key: "submission.listen_tls", target: func(c *Config) any { return &c.Submission.ListenTLS }, value: `""`, example: `":465"`,
			doc: "Address and port for submission with implicit TLS (RFC 8314), or a list of them. Empty turns it off."},
		{key: "submission.tls", target: func(c *Config) any { return &c.Submission.TLS }, value: `"off"`, example: `"acme"`,
			automatic: "`files` where `submission.cert_file` is set, else `acme` where `http.tls` is, otherwise `off`",
			doc:       "Where this door's certificate comes from: `files` uses `submission.cert_file` and `submission.key_file`; `acme` gets one by itself, the same as for the API, see [acme]; `off` is no TLS on this door.",
			check:     func(c *Config) error { return oneOf(c.Submission.TLS, TLSOff, TLSFiles, TLSACME) }},
		{key: "submission.cert_file", target: func(c *Config) any { return &c.Submission.CertFile }, value: `""`, example: `"tls/submission.crt"`, path: true,
			doc: "PEM file with the certificate and its chain. Without it there is no TLS on this door, and therefore no AUTH."},
		{key: "submission.key_file", target: func(c *Config) any { return &c.Submission.KeyFile }, value: `""`, example: `"tls/submission.key"`, path: true,
			doc: "PEM file with the key of `submission.cert_file`."},
		{key: "submission.trusted_networks", target: func(c *Config) any { return &c.Submission.TrustedNetworks }, value: `[]`, example: `["192.0.2.0/24"]`,
			doc: "Clients in these networks may submit without AUTH, for every domain. Everybody who can send from an address in them can send mail.",
			check: func(c *Config) error {
				return checkNetworks(c.Submission.TrustedNetworks, "this host would relay mail for the whole world; name the networks of your own applications")
			}},
		{key: "submission.auth_without_tls", target: func(c *Config) any { return &c.Submission.AuthWithoutTLS }, value: `false`,
			doc: "`true` also offers AUTH before STARTTLS, for programs that cannot do TLS. Their passwords can then be read on the way, and used by whoever reads them."},
		{key: "submission.proxy_networks", target: func(c *Config) any { return &c.Submission.ProxyNetworks }, value: `[]`, example: `["10.0.0.5"]`,
			doc: "Proxies that begin every connection with a PROXY header, version 1 or 2, which says who comes by them (HAProxy's `send-proxy` and `send-proxy-v2`, and load balancers). " +
				"Connections from these networks without the header are closed; from elsewhere it is refused.",
			check: func(c *Config) error {
				return checkNetworks(c.Submission.ProxyNetworks, "everybody could then say to be anybody; name your proxies")
			}},
	}
}

func acmeFields() []field {
	return []field{
		{key: "acme.email", target: func(c *Config) any { return &c.ACME.Email }, value: `""`, example: `"admin@example.com"`,
			doc:   "The address by which the authority reaches you. Empty registers without one.",
			check: func(c *Config) error { return checkAddress(c.ACME.Email) }},
		{key: "acme.directory", target: func(c *Config) any { return &c.ACME.Directory }, value: `"https://acme-v02.api.letsencrypt.org/directory"`,
			doc:   "The authority, by the URL of its ACME directory. To try things out without its limits: `https://acme-staging-v02.api.letsencrypt.org/directory`.",
			check: checkDirectory},
		{key: "acme.ca_file", target: func(c *Config) any { return &c.ACME.CAFile }, value: `""`, example: `"tls/our-ca.pem"`, path: true,
			doc: "PEM file with the roots that the directory's own certificate must lead to, for an authority of your own. Empty is the system's roots."},
		{key: "acme.names", target: func(c *Config) any { return &c.ACME.Names }, value: `[]`, example: `["mx.example.com", "mail.example.com"]`,
			doc:   "The host names of the certificate. Empty is `server.hostname`. All of them must lead to this host.",
			check: checkNames},
		{key: "acme.listen", target: func(c *Config) any { return &c.ACME.Listen }, value: `":80"`,
			doc: "Address and port on which the authority is answered (HTTP-01). It asks at port 80 of every name, so this must be where that leads. " +
				"Empty turns it off; then the API must be reached at port 443 with `http.tls = \"acme\"` (TLS-ALPN-01).",
			check: func(c *Config) error { return listenAddress(c.ACME.Listen) }},
	}
}

func acceptFields() []field {
	return []field{
		{key: "accept.allow_unverified_domains", target: func(c *Config) any { return &c.Accept.AllowUnverifiedDomains }, value: `false`,
			doc: "`true` lets a domain send before its DNS records were seen. Receivers will trust such mail less."},
		{key: "accept.schedule_horizon", target: func(c *Config) any { return &c.Accept.ScheduleHorizon }, value: `"72h"`,
			doc: "How far ahead a message may be scheduled with `o:deliverytime`, and waiting mail be put off. From 1h to 8760h (a year). Its content is kept until it is delivered.",
			check: func(c *Config) error {
				return between(c.Accept.ScheduleHorizon, time.Hour, maxRetention, formatDuration)
			}},
	}
}

func retentionFields() []field {
	return []field{
		{key: "retention.content", target: func(c *Config) any { return &c.Retention.Content }, value: `"72h"`,
			doc:   "How long the content of a finished message can be read again, counted from its acceptance. From 0s (not kept: dropped within a minute after it is finished) to 8760h (a year).",
			check: func(c *Config) error { return between(c.Retention.Content, 0, maxRetention, formatDuration) }},
		{key: "retention.events", target: func(c *Config) any { return &c.Retention.Events }, value: `"720h"`,
			doc: "How long events are kept, by whole days. From 24h to 87600h (ten years).",
			check: func(c *Config) error {
				return between(c.Retention.Events, 24*time.Hour, 10*maxRetention, formatDuration)
			}},
		{key: "retention.evidence", target: func(c *Config) any { return &c.Retention.Evidence }, value: `"0s"`, example: `"8760h"`,
			doc: "How long the signed evidence of deliveries is kept, by whole days: who, when, to which MX host, over which TLS, and nothing of the message. " +
				"0s is as long as `retention.events`; else from `retention.events` to 87600h (ten years). The days' signed checkpoints are always kept.",
			check: checkEvidence},
	}
}

func deliveryFields() []field {
	return []field{
		{key: "delivery.port", target: func(c *Config) any { return &c.Delivery.Port }, value: `25`,
			doc:   "The port of MX hosts. Anything but 25 is for tests.",
			check: func(c *Config) error { return between(c.Delivery.Port, 1, 65535, decimal) }},
		{key: "delivery.resolver", target: func(c *Config) any { return &c.Delivery.Resolver }, value: `""`, example: `"127.0.0.1:53"`,
			doc: "IP address and port of the DNS resolver. Empty is the first of the system. " +
				"DANE needs a resolver that validates DNSSEC, on this host or reached over a path that nobody else can write to.",
			check: checkResolver},
		{key: "delivery.resolver_trusted", target: func(c *Config) any { return &c.Delivery.ResolverTrusted }, value: `false`,
			doc: "`true` believes the resolver when it says that an answer was validated (the AD bit) although it is not on this host. Without it only a resolver on a loopback address is believed, and with any other DANE is off. " +
				"Set it only if nobody can come between this host and the resolver: whoever can, decides what is validated."},
		{key: "delivery.allow_private_mx", target: func(c *Config) any { return &c.Delivery.AllowPrivateMX }, value: `false`,
			doc: "`true` lets MX hosts have loopback, private and link-local addresses. Then whoever controls a recipient's DNS can make Sealpost connect into your network."},
		{key: "delivery.ca_file", target: func(c *Config) any { return &c.Delivery.CAFile }, value: `""`, example: `"tls/private-ca.pem"`, path: true,
			doc: "PEM file with certificate authorities to trust for MX hosts, in addition to those of the system."},
		{key: "delivery.source_addresses", target: func(c *Config) any { return &c.Delivery.SourceAddresses }, value: `[]`, example: `["192.0.2.25", "2001:db8::25"]`,
			doc:   "Addresses of this host to connect from. Empty lets the system choose.",
			check: checkSourceAddresses},
		{key: "delivery.retry", target: func(c *Config) any { return &c.Delivery.Retry }, value: `["10m", "15m", "30m", "1h", "2h", "4h"]`,
			doc:   "How long to wait after the first, second, … attempt that was deferred. The last wait repeats until `delivery.lifetime` is over. Each from 100ms to 24h, at most 50.",
			check: checkRetry},
		{key: "delivery.lifetime", target: func(c *Config) any { return &c.Delivery.Lifetime }, value: `"8h"`,
			doc:   "How long after its acceptance a message is still tried; then it fails. From 1s to 120h (five days).",
			check: func(c *Config) error { return between(c.Delivery.Lifetime, minLifetime, maxLifetime, formatDuration) }},
		{key: "delivery.max_connections", target: func(c *Config) any { return &c.Delivery.MaxConnections }, value: `1000`,
			doc:   "Connections to MX hosts open at once, all next hops together. From 1 to 20000; each needs a file descriptor.",
			check: func(c *Config) error { return between(c.Delivery.MaxConnections, 1, 20000, decimal) }},
		{key: "delivery.max_connections_per_next_hop", target: func(c *Config) any { return &c.Delivery.MaxConnectionsPerNextHop }, value: `20`,
			doc:   "Connections open at once to one next hop. Fewer are used until it has shown that it answers well. From 1 to 1000.",
			check: func(c *Config) error { return between(c.Delivery.MaxConnectionsPerNextHop, 1, 1000, decimal) }},
	}
}

func tlsrptFields() []field {
	return []field{
		{key: "tlsrpt.from", target: func(c *Config) any { return &c.TLSRPT.From }, value: `""`, example: `"tls-reports@example.com"`,
			doc: "The address that reports come from. Its domain must be a sending domain of this server, because receivers ignore reports without its DKIM signature. " +
				"Bounces and questions come to it. Empty turns reports off.",
			check: func(c *Config) error { return checkAddress(c.TLSRPT.From) }},
		{key: "tlsrpt.organization", target: func(c *Config) any { return &c.TLSRPT.Organization }, value: `""`, example: `"Example Ltd"`,
			doc:   "Who reports, as receivers will read it. Empty is the domain of `tlsrpt.from`. At most 100 characters.",
			check: checkOrganization},
		{key: "tlsrpt.contact", target: func(c *Config) any { return &c.TLSRPT.Contact }, value: `""`, example: `"postmaster@example.com"`,
			doc:   "The address for questions about a report. Empty is `tlsrpt.from`.",
			check: func(c *Config) error { return checkAddress(c.TLSRPT.Contact) }},
	}
}

func webhookFields() []field {
	return []field{
		{key: "webhooks.allow_private", target: func(c *Config) any { return &c.Webhooks.AllowPrivate }, value: `[]`, example: `["10.0.0.0/8"]`,
			doc: "Networks with loopback, private and link-local addresses that webhooks may be in. Without it only public addresses are called: " +
				"whoever may set a webhook could make Sealpost call what is in your network. Cloud metadata addresses and Sealpost's own listeners are never called.",
			check: checkAllowPrivate},
		{key: "webhooks.retry", target: func(c *Config) any { return &c.Webhooks.Retry }, value: `["5m", "10m", "15m", "1h", "2h", "4h"]`,
			doc:   "How long to wait after the first, second, … call that was not answered with 200. After the last wait one more call is made, then the event is given up. Each from 100ms to 24h, at most 50.",
			check: checkWebhookRetry},
		{key: "webhooks.timeout", target: func(c *Config) any { return &c.Webhooks.Timeout }, value: `"15s"`,
			doc: "How long one call may take, from connecting to the end of the answer. From 100ms to 2m.",
			check: func(c *Config) error {
				return between(c.Webhooks.Timeout, 100*time.Millisecond, 2*time.Minute, formatDuration)
			}},
		{key: "webhooks.max_connections", target: func(c *Config) any { return &c.Webhooks.MaxConnections }, value: `1000`,
			doc:   "Calls under way at once, all webhooks together. From 1 to 20000; each needs a file descriptor. One webhook has 64 at most.",
			check: func(c *Config) error { return between(c.Webhooks.MaxConnections, 1, 20000, decimal) }},
	}
}

// allFields returns the fields of all sections by key.
func allFields() map[string]field {
	byKey := make(map[string]field)
	for _, s := range sections() {
		for _, f := range s.fields {
			byKey[f.key] = f
		}
	}
	return byKey
}

// Default returns the settings of an empty file. They are not valid yet: the host
// name has no default.
func Default() Config {
	var c Config
	for _, s := range sections() {
		for _, f := range s.fields {
			if err := setTOML(f.target(&c), f.value); err != nil {
				panic(fmt.Sprintf("config: default of %s: %v", f.key, err)) // a bug in the table
			}
		}
	}
	return c
}

// A Setting is one field with its value as TOML writes it.
type Setting struct {
	Key   string // section.name
	Value string
}

// Settings returns all settings in the order of the file.
func (c Config) Settings() []Setting {
	var all []Setting
	for _, s := range sections() {
		for _, f := range s.fields {
			all = append(all, Setting{f.key, format(f.target(&c))})
		}
	}
	return all
}

// Changed returns the settings that differ from their defaults, in the order of the file.
func (c Config) Changed() []Setting {
	defaults := Default()
	defaults.resolvePaths(c.base)
	defaults.Submission.TLS = c.usualSubmissionTLS()
	defaults.Submission.Listen = c.Submission.usualListen()
	usual := defaults.Settings()
	var changed []Setting
	for i, s := range c.Settings() {
		if s != usual[i] {
			changed = append(changed, s)
		}
	}
	return changed
}
