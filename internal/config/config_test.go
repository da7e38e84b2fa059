package config_test

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sealpost/sealpost/internal/config"
)

// -update is only for TestReferencePageIsCurrent.
var update = flag.Bool("update", false, "write docs/reference/configuration.md")

const host = "[server]\nhostname = \"mx.example.com\"\n"

// compare ignores the folder that paths counted from.
func compare() cmp.Options {
	return cmp.Options{cmpopts.IgnoreUnexported(config.Config{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()}
}

func TestEmptyFileWithHostnameIsTheDefault(t *testing.T) {
	got, err := config.Parse("/etc/sealpost/sealpost.toml", []byte(host), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Server: config.Server{Hostname: "mx.example.com", DataDir: "/etc/sealpost/data"},
		HTTP:   config.HTTP{Listen: "127.0.0.1:8080", TLS: config.TLSOff}, Submission: config.Submission{TLS: config.TLSOff},
		ACME:   config.ACME{Directory: "https://acme-v02.api.letsencrypt.org/directory", Listen: ":80"},
		Accept: config.Accept{ScheduleHorizon: 72 * time.Hour},
		Delivery: config.Delivery{
			Port: 25, Lifetime: 8 * time.Hour, MaxConnections: 1000, MaxConnectionsPerNextHop: 20,
			Retry: []time.Duration{10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour},
		},
		Webhooks: config.Webhooks{
			Retry:   []time.Duration{5 * time.Minute, 10 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour},
			Timeout: 15 * time.Second, MaxConnections: 1000,
		},
		Retention: config.Retention{Content: 72 * time.Hour, Events: 720 * time.Hour},
		Log:       config.Log{Format: config.LogText, Level: config.LogInfo},
	}
	if diff := cmp.Diff(want, got, compare()); diff != "" {
		t.Errorf("default (-want +got):\n%s", diff)
	}
	if got, want := got.Changed(), []config.Setting{{Key: "server.hostname", Value: `"mx.example.com"`}}; !slices.Equal(got, want) {
		t.Errorf("changed: got %v, want %v", got, want)
	}
}

func full() string {
	return `
[server]
hostname = "MX.Bücher.example."
data_dir = "/var/lib/sealpost"
[http]
listen = ":443"
admin_listen = "127.0.0.1:9090"
public_url = "https://mail.example.com/"
tls = "files"
cert_file = "tls/api.crt"
key_file = "/keys/api.key"
[submission]
listen = "[::1]:2587"
listen_tls = "localhost:465"
cert_file = "s.crt"
key_file = "s.key"
trusted_networks = ["192.0.2.0/24", "2001:db8::1"]
auth_without_tls = true
proxy_networks = ["10.0.0.5"]
[acme]
email = "admin@example.com"
directory = "https://ca.example.com/acme"
ca_file = "acme.pem"
names = ["MX.example.com", "mäil.example.com"]
listen = "127.0.0.1:8402"
[accept]
allow_unverified_domains = true
schedule_horizon = "168h"
[delivery]
port = 2525
resolver = "[::1]:5353"
resolver_trusted = true
allow_private_mx = true
ca_file = "ca.pem"
source_addresses = ["192.0.2.25", "2001:db8::25"]
retry = ["100ms", "1h30m"]
lifetime = "120h"
max_connections = 10
max_connections_per_next_hop = 10
[tlsrpt]
from = "tls-reports@example.com"
organization = "Exämple Ltd"
contact = "postmaster@example.com"
[webhooks]
allow_private = ["10.0.0.0/8", "fd00::/8"]
retry = ["1s"]
timeout = "5s"
max_connections = 50
[database]
url = ""
[retention]
content = "0s"
events = "24h"
evidence = "8760h"
[log]
format = "json"
level = "debug"
`
}

func TestEverySettingCanBeSet(t *testing.T) {
	got, err := config.Parse("/etc/sealpost.toml", []byte(full()), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Server: config.Server{Hostname: "mx.xn--bcher-kva.example", DataDir: "/var/lib/sealpost"},
		HTTP: config.HTTP{Listen: ":443", AdminListen: "127.0.0.1:9090", PublicURL: "https://mail.example.com", TLS: config.TLSFiles,
			CertFile: "/etc/tls/api.crt", KeyFile: "/keys/api.key"},
		Submission: config.Submission{Listen: config.Listeners{"[::1]:2587"}, ListenTLS: config.Listeners{"localhost:465"}, TLS: config.TLSFiles, CertFile: "/etc/s.crt", KeyFile: "/etc/s.key",
			TrustedNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")},
			AuthWithoutTLS:  true, ProxyNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}},
		ACME:   config.ACME{Email: "admin@example.com", Directory: "https://ca.example.com/acme", CAFile: "/etc/acme.pem", Names: []string{"mx.example.com", "xn--mil-qla.example.com"}, Listen: "127.0.0.1:8402"},
		Accept: config.Accept{AllowUnverifiedDomains: true, ScheduleHorizon: 168 * time.Hour},
		Delivery: config.Delivery{Port: 2525, Resolver: "[::1]:5353", ResolverTrusted: true, AllowPrivateMX: true, CAFile: "/etc/ca.pem",
			SourceAddresses: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")},
			Retry:           []time.Duration{100 * time.Millisecond, 90 * time.Minute}, Lifetime: 120 * time.Hour,
			MaxConnections: 10, MaxConnectionsPerNextHop: 10},
		TLSRPT: config.TLSRPT{From: "tls-reports@example.com", Organization: "Exämple Ltd", Contact: "postmaster@example.com"},
		Webhooks: config.Webhooks{Retry: []time.Duration{time.Second}, Timeout: 5 * time.Second, MaxConnections: 50,
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}},
		Retention: config.Retention{Events: 24 * time.Hour, Evidence: 8760 * time.Hour},
		Log:       config.Log{Format: config.LogJSON, Level: config.LogDebug},
	}
	if diff := cmp.Diff(want, got, compare()); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if got, want := len(got.Changed()), len(got.Settings())-2; got != want { // all but database.url, and submission.tls, which follows from the files
		t.Errorf("changed: got %d settings, want %d", got, want)
	}
}

func TestMistakesNamePlaceValueAndRemedy(t *testing.T) {
	tests := []struct {
		name, file string
		environ    []string
		want       []string // one line each
	}{
		{"not TOML", "[server\n", nil, []string{`s.toml:1:8: `}},
		{"key twice", host + "hostname = \"b.example.com\"\n", nil, []string{`s.toml:3:1: `}},
		{"hostname missing", "", nil, []string{`server.hostname: is missing; write the full name`}},
		{"hostname without a dot", "server.hostname = \"mx\"", nil, []string{`s.toml:1: server.hostname = "mx": is not the full name of a host; write`}},
		{"hostname is an address", "server.hostname = \"192.0.2.1\"", nil, []string{`s.toml:1: server.hostname = "192.0.2.1": is not the full name`}},
		{"unknown setting, typing error", host + "[http]\nlissen = \":80\"", nil,
			[]string{`s.toml:4: http.lissen: there is no such setting; did you mean http.listen?`}},
		{"setting in the wrong section", host + "resolver = \"127.0.0.1:53\"", nil,
			[]string{`s.toml:3: server.resolver: there is no such setting; did you mean delivery.resolver?`}},
		{"unknown section", host + "[bananas]\n", nil, []string{`s.toml:3: bananas: there is no such setting; remove it`}},
		{"name with a dot in quotes", host + "[\"http.x\"]\nlisten = \":80\"", nil, []string{`s.toml:4: "http.x".listen: there is no such setting`}},
		{"section as a list", host + "[[http]]\nlisten = \":80\"", nil, []string{`s.toml:3: http: there is no such setting`}},
		{"section as a value", "http = 1\n" + host, nil, []string{`s.toml:1: http: there is no such setting`}},
		{"inline table has the line of the table", host + "[x]\n", nil, []string{`s.toml:3: x: `}},
		{"text where a number belongs", host + "[delivery]\nport = \"25\"", nil,
			[]string{`s.toml:4: delivery.port = "25": write a whole number, without quotes`}},
		{"number where a text belongs", host + "[http]\nlisten = 8080", nil, []string{`s.toml:4: http.listen = 8080: write a text in quotes`}},
		{"text where a switch belongs", host + "[accept]\nallow_unverified_domains = \"yes\"", nil,
			[]string{`s.toml:4: accept.allow_unverified_domains = "yes": write true or false, without quotes`}},
		{"port without address", host + "[http]\nlisten = \"8080\"", nil,
			[]string{`s.toml:4: http.listen = "8080": is not an address with a port; write it as "127.0.0.1:8080"`}},
		{"port out of range", host + "[http]\nlisten = \":65536\"", nil, []string{`s.toml:4: http.listen = ":65536": is not an address`}},
		{"listener with a host name", host + "[http]\nlisten = \"mx.example.com:80\"", nil, []string{`http.listen = "mx.example.com:80": is not an address`}},
		{"listen empty", host + "[http]\nlisten = \"\"", nil, []string{`s.toml:4: http.listen = "": must not be empty`}},
		{"data folder empty", host + "data_dir = \"\"", nil, []string{`s.toml:3: server.data_dir = "": must not be empty; write a value such as "/var/lib/sealpost"`}},
		{"two listeners on one address", host + "[http]\nadmin_listen = \"127.0.0.1:8080\"", nil,
			[]string{`s.toml:4: http.admin_listen = "127.0.0.1:8080": is the address of http.listen already; choose another port`}},
		{"reports from no address", host + "[tlsrpt]\nfrom = \"example.com\"", nil,
			[]string{`s.toml:4: tlsrpt.from = "example.com": is not a mail address (address has no @); write one such as`}},
		{"reports from an address that needs SMTPUTF8", host + "[tlsrpt]\nfrom = \"bücher@example.com\"", nil, []string{`needs SMTPUTF8`}},
		{"reports by two lines", host + "[tlsrpt]\norganization = \"a\\nb\"", nil, []string{`must be one line of at most 100 characters`}},
		{"public address without scheme", host + "[http]\npublic_url = \"mail.example.com\"", nil,
			[]string{`s.toml:4: http.public_url = "mail.example.com": is not the address of a site; write http:// or https://`}},
		{"authority that is not asked by HTTPS", host + "[acme]\ndirectory = \"http://ca.example.com/\"", nil, []string{`acme.directory = "http://ca.example.com/": is not the URL of an ACME directory`}},
		{"authority that could ask nowhere", host + "[submission]\ntls = \"acme\"\n[acme]\nlisten = \"\"", nil, []string{`s.toml:6: acme.listen = "": is needed`}},
		{"authority at the port of the API", host + "[http]\ntls = \"acme\"\nlisten = \":80\"", nil, []string{`acme.listen: is the address of http.listen already`}},
		{"a name that is none", host + "[acme]\nnames = [\"mx.example.com\", \"mx\"]", nil, []string{`"mx" is not the full name of a host`}},
		{"a name twice", host + "[acme]\nnames = [\"mx.example.com\", \"MX.example.com\"]", nil, []string{`mx.example.com is there twice`}},
		{"files not used for submission", host + "[submission]\ntls = \"acme\"\ncert_file = \"c\"\nkey_file = \"k\"", nil, []string{`submission.cert_file = "c": is not used while submission.tls is "acme"`}},
		{"no files for submission", host + "[submission]\ntls = \"files\"", nil, []string{`submission.tls = "files": needs a certificate`}},
		{"one of several listeners", host + "[submission]\nauth_without_tls = true\nlisten = [\":25\", \"25\"]", nil, []string{`"25": is not an address with a port`}},
		{"listener twice in a list", host + "[submission]\nauth_without_tls = true\nlisten = [\":25\", \":25\"]", nil, []string{`is the address of submission.listen already`}},
		{"everybody a proxy", host + "[submission]\nproxy_networks = [\"::/0\"]", nil, []string{`::/0 is everybody: everybody could then say to be anybody`}},
		{"unknown TLS mode", host + "[http]\ntls = \"on\"", nil, []string{`s.toml:4: http.tls = "on": is not one of the choices; write "off", "files" or "acme"`}},
		{"files without names", host + "[http]\ntls = \"files\"", nil, []string{`s.toml:4: http.tls = "files": needs a certificate; set http.cert_file and http.key_file`}},
		{"certificate without key", host + "[http]\ntls = \"files\"\ncert_file = \"c\"", nil, []string{`http.key_file: is missing; it must name the key of http.cert_file`}},
		{"certificate that is not used", host + "[http]\ncert_file = \"c\"\nkey_file = \"k\"", nil,
			[]string{`s.toml:4: http.cert_file = "c": is not used while http.tls is "off"`}},
		{"key without certificate", host + "[submission]\nkey_file = \"k\"", nil, []string{`submission.cert_file: is missing`}},
		{"submission nobody could use", host + "[submission]\nlisten = \":587\"", nil, // SEC-06
			[]string{`s.toml:4: submission.listen = ":587": nobody could submit here: AUTH needs TLS; set submission.cert_file`}},
		{"implicit TLS without certificate", host + "[submission]\nlisten_tls = \":465\"", nil,
			[]string{`s.toml:4: submission.listen_tls = ":465": needs a certificate`}},
		{"open relay", host + "[submission]\ntrusted_networks = [\"0.0.0.0/0\"]", nil,
			[]string{`s.toml:4: submission.trusted_networks = ["0.0.0.0/0"]: 0.0.0.0/0 is everybody`}},
		{"network with host bits", host + "[submission]\ntrusted_networks = [\"192.0.2.1/24\"]", nil,
			[]string{`"192.0.2.1/24": the address has bits beyond the prefix; write "192.0.2.0/24" for the network`}},
		{"not a network", host + "[submission]\ntrusted_networks = [\"office\"]", nil, []string{`"office": write a network as address/bits`}},
		{"list with a number", host + "[submission]\ntrusted_networks = [7]", nil, []string{`write every item of the list as a text in quotes`}},
		{"not a list", host + "[submission]\ntrusted_networks = \"192.0.2.0/24\"", nil, []string{`write a list, such as`}},
		{"resolver by name", host + "[delivery]\nresolver = \"dns.example.com:53\"", nil, []string{`delivery.resolver = "dns.example.com:53": is not an IP address with a port`}},
		{"source address twice", host + "[delivery]\nsource_addresses = [\"192.0.2.1\", \"::ffff:192.0.2.1\"]", nil, []string{`192.0.2.1 is there twice`}},
		{"source address of nobody", host + "[delivery]\nsource_addresses = [\"0.0.0.0\"]", nil, []string{`0.0.0.0 is not an address of a host`}},
		{"duration without unit", host + "[delivery]\nlifetime = \"8\"", nil, []string{`delivery.lifetime = "8": write a duration with its unit`}},
		{"lifetime beyond five days", host + "[delivery]\nlifetime = \"121h\"", nil, []string{`delivery.lifetime = "121h": is out of range; write a value from 1s to 120h`}},
		{"evidence shorter than events", host + "[retention]\nevidence = \"24h\"", nil, []string{`retention.evidence = "24h": is shorter than retention.events; write "0s"`}},
		{"evidence too long", host + "[retention]\nevidence = \"87601h\"", nil, []string{`retention.evidence = "87601h": is out of range; write a value from 24h to 87600h`}},
		{"a number that is not zero has no unit", host + "[retention]\ncontent = 1", nil, []string{`retention.content = 1: write a text in quotes`}},
		{"no waits", host + "[delivery]\nretry = []", nil, []string{`s.toml:4: delivery.retry = []: has 0 waits; write 1 to 50`}},
		{"negative wait", host + "[delivery]\nretry = [\"10m\", \"-1h\"]", nil, []string{`-1h: is out of range; write a value from 100ms to 24h`}},
		{"more to one than to all", host + "[delivery]\nmax_connections = 10", nil, []string{`delivery.max_connections_per_next_hop: is more than delivery.max_connections`}},
		{"PostgreSQL", host + "[database]\nurl = \"postgres://u:p@db/x\"", nil,
			[]string{`PostgreSQL is not available in this version; leave database.url empty`}},
		{"another database", host + "[database]\nurl = \"mysql://x\"", nil, []string{`s.toml:4: database.url = "…": is not a database`}},
		{"log level", host + "[log]\nlevel = \"loud\"", nil, []string{`log.level = "loud": is not one of the choices; write "debug", "info", "warn" or "error"`}},
		{"all at once, in the order of the file", "[http]\nlisen = \"\"\n[delivery]\nport = \"x\"\nlifetime = \"1y\"\n", nil, []string{
			"4 mistakes in the configuration:", `s.toml:2: http.lisen`, `s.toml:4: delivery.port`, `s.toml:5: delivery.lifetime`, `server.hostname`}},
		{"variable that is no setting", host, []string{"SEALPOST_HTTP_LISTN=:80"},
			[]string{`environment: SEALPOST_HTTP_LISTN: no setting has this variable; did you mean SEALPOST_HTTP_LISTEN?`}},
		{"variable with a bad value", host, []string{"SEALPOST_DELIVERY_PORT=smtp"}, []string{`SEALPOST_DELIVERY_PORT: delivery.port = "smtp": write a whole number`}},
		{"variable out of range", host, []string{"SEALPOST_DELIVERY_PORT=0"}, []string{`SEALPOST_DELIVERY_PORT: delivery.port = "0": is out of range; write a value from 1 to 65535`}},
		{"variable with a bad switch", host, []string{"SEALPOST_DELIVERY_ALLOW_PRIVATE_MX=1"}, []string{`write true or false`}},
		{"variable does not hide a mistake in the file", host + "[delivery]\nport = \"x\"", []string{"SEALPOST_DELIVERY_PORT=25"}, []string{`s.toml:4: delivery.port`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Parse("s.toml", []byte(tt.file), tt.environ)
			if problems, ok := errors.AsType[*config.Error](err); !ok {
				t.Fatalf("got %v, want a *config.Error", err)
			} else if n := max(1, len(tt.want)-1); len(problems.Problems) != n {
				t.Errorf("got %d problems, want %d", len(problems.Problems), n)
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(tt.want) {
				t.Fatalf("got %d lines, want %d:\n%v", len(got), len(tt.want), err)
			}
			for i, want := range tt.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("line %d:\n got %s\nwant %s", i+1, got[i], want)
				}
			}
		})
	}
}

// The password of a database URL must not reach a terminal or a log.
func TestMistakeInTheDatabaseURLHidesItsPassword(t *testing.T) {
	_, err := config.Parse("s.toml", []byte(host+"[database]\nurl = \"postgres://u:hunter2@db/x\""), nil)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the password", err)
	}
}

func TestEnvironmentOverridesTheFile(t *testing.T) {
	got, err := config.Parse("/etc/sealpost/s.toml", []byte(host+"[http]\nlisten = \":80\"\n[delivery]\nretry = [\"1h\"]\nport = 26\n"), []string{
		"SEALPOST_HTTP_LISTEN=127.0.0.1:9000",
		"SEALPOST_SERVER_DATA_DIR=mail",
		"SEALPOST_DELIVERY_RETRY=1m, 2m,",
		"SEALPOST_DELIVERY_ALLOW_PRIVATE_MX=true",
		"SEALPOST_SUBMISSION_TRUSTED_NETWORKS=127.0.0.0/8",
		"SEALPOST_API_KEY=key", "SEALPOST_URL=http://x", "SEALPOST_TEST_EXIM=/x", "PATH=/bin", "SEALPOSTMAN=1", "=odd",
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Parse("/etc/sealpost/s.toml", []byte(`
server = { hostname = "mx.example.com", data_dir = "/etc/sealpost/mail" }
http.listen = "127.0.0.1:9000"
delivery = { retry = ["1m", "2m"], allow_private_mx = true, port = 26 }
submission = { trusted_networks = ["127.0.0.0/8"], listen = ":587" }
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, compare()); diff != "" {
		t.Errorf("(-file +environment):\n%s", diff)
	}
}

func TestSubmissionOpensWhenSomebodyCouldUseIt(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"nothing said", "", ""},
		{"certificate", "cert_file = \"c\"\nkey_file = \"k\"", ":587"},
		{"trusted network", "trusted_networks = [\"127.0.0.1\"]", ":587"},
		{"several addresses", "trusted_networks = [\"127.0.0.1\"]\nlisten = [\":25\", \":587\", \":2525\"]", ":25 :587 :2525"},
		{"AUTH in the clear", "auth_without_tls = true", ":587"},
		{"the API's certificate", "tls = \"acme\"", ":587"},
		{"certificate, but turned off", "cert_file = \"c\"\nkey_file = \"k\"\nlisten = \"\"", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := config.Parse("s.toml", []byte(host+"[submission]\n"+tt.file), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(c.Submission.Listen, " "); got != tt.want {
				t.Errorf("listen: got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestBaseURL(t *testing.T) {
	tests := []struct {
		http config.HTTP
		want string
	}{
		{config.HTTP{Listen: "127.0.0.1:8080", TLS: config.TLSOff}, "http://127.0.0.1:8080"},
		{config.HTTP{Listen: ":443", TLS: config.TLSFiles}, "https://localhost:443"},
		{config.HTTP{Listen: ":80", PublicURL: "https://mail.example.com"}, "https://mail.example.com"},
	}
	for _, tt := range tests {
		if got := tt.http.BaseURL(); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.http, got, tt.want)
		}
	}
}

func TestSampleReadsBackAsItWasWritten(t *testing.T) {
	for name, file := range map[string]string{
		"only the host": host, "everything": full(),
		"submission turned off": host + "[submission]\ncert_file = \"/c\"\nkey_file = \"/k\"\nlisten = \"\"",
	} {
		t.Run(name, func(t *testing.T) {
			want, err := config.Parse("/etc/s.toml", []byte(file), nil)
			if err != nil {
				t.Fatal(err)
			}
			sample := config.Sample(want)
			got, err := config.Parse("/etc/s.toml", []byte(sample), nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, sample)
			}
			if diff := cmp.Diff(want, got, compare()); diff != "" {
				t.Errorf("(-written +read):\n%s\n%s", diff, sample)
			}
			for _, s := range want.Settings() {
				_, setting, _ := strings.Cut(s.Key, ".")
				if !strings.Contains(sample, setting+" = ") {
					t.Errorf("%s is not in the sample", s.Key)
				}
			}
		})
	}
}

// Every line that the sample shows in a comment is itself a valid setting.
func TestCommentedExamplesInTheSampleAreValid(t *testing.T) {
	c := config.Default()
	c.Server.Hostname = "mx.example.com"
	var section string
	for line := range strings.Lines(config.Sample(c)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
		}
		setting, commented := strings.CutPrefix(line, "#")
		if !commented || strings.HasPrefix(setting, " ") {
			continue
		}
		_, err := config.Parse("s.toml", []byte(section+"\n"+setting), []string{"SEALPOST_SERVER_HOSTNAME=mx.example.com"})
		if err == nil {
			continue
		}
		problems, ok := errors.AsType[*config.Error](err)
		if !ok || len(problems.Problems) != 1 {
			t.Fatal(err)
		}
		// Alone it may lack its partner, and nothing else may be wrong with it.
		if remedy := problems.Problems[0].Remedy; !strings.Contains(remedy, "is missing; it must name") && !strings.Contains(remedy, "set submission.cert_file") &&
			!strings.Contains(remedy, "is not used while http.tls") {
			t.Errorf("%s %s: %v", section, setting, err)
		}
	}
}

func TestReferencePageIsCurrent(t *testing.T) {
	const page = "../../docs/reference/configuration.md"
	if *update {
		if err := os.WriteFile(page, []byte(config.Reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != config.Reference() {
		t.Errorf("%s is out of date; run: go generate ./internal/config", page)
	}
}

func TestFindLooksInTheUsualPlaces(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := os.Stat("/etc/sealpost/sealpost.toml"); err == nil {
		t.Fatal("this machine has /etc/sealpost/sealpost.toml, which this test needs to be absent")
	}
	if _, err := config.Find("", nil); !errors.Is(err, config.ErrNoFile) || !strings.Contains(err.Error(), "sealpost init") {
		t.Errorf("no file: got %v, want ErrNoFile and the command that writes one", err)
	}
	if path, err := config.Find("", []string{"SEALPOST_SERVER_HOSTNAME=mx.example.com"}); err != nil || path != "" {
		t.Errorf("no file, hostname in the environment: got %q, %v; want no path and no error", path, err)
	}
	if _, err := config.Find("other.toml", nil); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "sealpost init -c other.toml") {
		t.Errorf("file that was asked for is missing: got %v", err)
	}
	if err := os.WriteFile("sealpost.toml", []byte(host), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := config.Find("", nil)
	if err != nil || path != "sealpost.toml" {
		t.Fatalf("file in the working folder: got %q, %v", path, err)
	}
	c, err := config.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(folder, "data"); c.Server.DataDir != want {
		t.Errorf("data folder: got %q, want %q", c.Server.DataDir, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		host, full(), "[server", "a.b.c = [[], {}]\n[[x]]", "\"http.listen\" = 1", "server = {hostname = \"x\"}", "x = 1979-05-27", "\xef\xbb\xbf[log]", "[http]\n[http.x.y]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("/etc/s.toml", data, nil)
		if err != nil {
			if _, ok := errors.AsType[*config.Error](err); !ok {
				t.Errorf("got %T, want a *config.Error", err)
			}
			return
		}
		again, err := config.Parse("/etc/s.toml", []byte(config.Sample(c)), nil)
		if err != nil {
			t.Fatalf("the sample of valid settings is not valid: %v", err)
		}
		if diff := cmp.Diff(c, again, compare()); diff != "" {
			t.Errorf("(-first +again):\n%s", diff)
		}
	})
}
