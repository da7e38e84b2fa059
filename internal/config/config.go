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
	Database   Database
	Retention  Retention
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
	if h.TLS == TLSFiles {
		return "https://" + listen
	}
	return "http://" + listen
}

// TLSMode says where the API's certificate comes from.
type TLSMode string

// The modes of http.tls. The design also knows acme, which this version refuses.
const (
	TLSOff   TLSMode = "off"   // plain HTTP, for a loopback address or behind a proxy
	TLSFiles TLSMode = "files" // CertFile and KeyFile
)

// Submission is the SMTP door.
type Submission struct {
	Listen          string // host:port with STARTTLS; empty is off
	ListenTLS       string // host:port with implicit TLS (RFC 8314); empty is off
	CertFile        string // PEM with its chain; empty: no TLS and therefore no AUTH
	KeyFile         string
	TrustedNetworks []netip.Prefix // may submit without AUTH; masked
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
