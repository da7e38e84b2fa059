// Package config reads Sealpost's settings. In the world they are one TOML file
// that an operator writes, sealpost.toml, and environment variables that override it
// where a container is easier to change than a file.
//
// The package turns them into one validated value, Config, or into the list of all mistakes at
// once, each with its place and its remedy. It is strict: a name it does not know is a mistake, never
// silence. One table of fields (fields.go) is behind everything: parsing, checks of single
// values, the reference page and the commented file that sealpost init writes.
//
// It opens no sockets and knows no other room; they get the values they need from app.
// Nothing is reloaded here: reading again is calling Load again.
package config

import (
	"net/netip"
	"strings"
	"time"
)

// Config is the whole of the settings, valid once Load or Parse has returned it. It is
// a value to be passed around and read; nobody changes its slices.
type Config struct {
	Server     Server
	HTTP       HTTP
	Submission Submission
	Accept     Accept
	Delivery   Delivery
	TLSRPT     TLSRPT
	Webhooks   Webhooks
	Database   Database
	Retention  Retention
	ACME       ACME
	Log        Log

	base string // the folder that relative paths counted from
}

// Server is what the whole process is and where it keeps its data.
type Server struct {
	// Hostname is the name of this host in greetings, EHLO, Received and message
	// ids: A-labels, lower case. Never empty.
	Hostname string
	// DataDir is the folder of queue, log and keys.
	DataDir string
}

// HTTP is the API's listener.
type HTTP struct {
	Listen      string // host:port; an empty host is every address
	AdminListen string // host:port of health and metrics; empty is off
	PublicURL   string // without a slash at the end; empty: derived, see BaseURL
	TLS         TLSMode
	CertFile    string // PEM with its chain; set when TLS is TLSFiles
	KeyFile     string
}

// BaseURL is the address under which clients reach the API, without a slash at the
// end: PublicURL, or what the listener suggests.
func (h HTTP) BaseURL() string {
	if h.PublicURL != "" {
		return h.PublicURL
	}
	listen := h.Listen
	if strings.HasPrefix(listen, ":") {
		listen = "localhost" + listen
	}
	if h.TLS != TLSOff {
		return "https://" + listen
	}
	return "http://" + listen
}

// TLSMode says where a door's certificate comes from.
type TLSMode string

// The modes of http.tls and submission.tls.
const (
	TLSOff   TLSMode = "off"   // none: for a loopback address, or behind a proxy
	TLSFiles TLSMode = "files" // CertFile and KeyFile
	TLSACME  TLSMode = "acme"  // from a certification authority, see ACME
)

// Listeners are addresses to listen on, host:port each; none is off.
type Listeners []string

// Submission is the SMTP door.
type Submission struct {
	Listen          Listeners // with STARTTLS
	ListenTLS       Listeners // with implicit TLS (RFC 8314)
	TLS             TLSMode   // off: no TLS and therefore, unless AuthWithoutTLS, no AUTH
	CertFile        string    // PEM with its chain; set when TLS is TLSFiles
	KeyFile         string
	TrustedNetworks []netip.Prefix // may submit without AUTH; masked
	AuthWithoutTLS  bool           // offer AUTH in the clear too
	ProxyNetworks   []netip.Prefix // clients in them are proxies that say who comes by them; masked
}

// ACME says how certificates are got from a certification authority (RFC 8555). It counts where
// http.tls or submission.tls is TLSACME.
type ACME struct {
	Email     string   // where the authority writes to; empty: it does not
	Directory string   // URL of the authority
	CAFile    string   // PEM; roots of the directory's own certificate; empty: the system's
	Names     []string // host names of the certificate, A-labels; none: Server.Hostname
	Listen    string   // host:port that the authority reaches as port 80 of every name; empty: it does not
}

// UsesACME reports whether certificates are got from a certification authority.
func (c Config) UsesACME() bool { return c.HTTP.TLS == TLSACME || c.Submission.TLS == TLSACME }

// CertificateNames are the names of the certificate that is got by ACME.
func (c Config) CertificateNames() []string {
	if len(c.ACME.Names) > 0 {
		return c.ACME.Names
	}
	return []string{c.Server.Hostname}
}

// Accept is what both doors ask of a message.
type Accept struct {
	// AllowUnverifiedDomains lets a domain send before its DNS records were seen.
	AllowUnverifiedDomains bool
	// ScheduleHorizon is how far ahead a message may be scheduled; 1 hour to a year.
	ScheduleHorizon time.Duration
}

// Delivery is how mail leaves.
type Delivery struct {
	Port                     int             // of the MX hosts; 1 to 65535
	Resolver                 string          // host:port; empty is the system's
	ResolverTrusted          bool            // believe its AD bit although it is not on loopback
	AllowPrivateMX           bool            // connect to loopback and private addresses
	CAFile                   string          // PEM; added to the system's roots; empty: none
	SourceAddresses          []netip.Addr    // to connect from; none: the system chooses
	Retry                    []time.Duration // waits between attempts; the last one repeats; never empty
	Lifetime                 time.Duration   // from acceptance until a message expires
	MaxConnections           int             // open at once, all next hops together
	MaxConnectionsPerNextHop int
}

// TLSRPT is the reports about TLS that recipient domains ask for (RFC 8460).
type TLSRPT struct {
	From         string // an address; empty: no reports
	Organization string // who reports; empty: the domain of From
	Contact      string // an address; empty: From
}

// Webhooks is how users' servers are told of events.
type Webhooks struct {
	Retry          []time.Duration // waits between attempts; none after the last one; never empty
	Timeout        time.Duration   // of one attempt
	MaxConnections int             // to all targets together
	AllowPrivate   []netip.Prefix  // loopback, private and link-local addresses that may be called; masked
}

// Database says where queue and log live.
type Database struct {
	// URL is empty, which is the embedded store in Server.DataDir. This version
	// knows no other.
	URL string
}

// Retention is how long what is finished is kept.
type Retention struct {
	Content time.Duration // contents, from acceptance; those still queued stay
	Events  time.Duration // events and their messages' facts
	// Evidence is how long the evidence of deliveries is kept: at least as long as
	// Events, or 0, which is as long as them.
	Evidence time.Duration
}

// Log is what the process writes to standard error.
type Log struct {
	Format LogFormat
	Level  LogLevel
}

// LogFormat is how a log line is written.
type LogFormat string

// The formats of log.format.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// LogLevel is the least severe level that is logged; slog.Level reads its text.
type LogLevel string

// The levels of log.level.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)
