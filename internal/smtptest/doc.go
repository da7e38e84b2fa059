// Package smtptest is an MX host that does what a test tells it to: an honest
// one, one with a bad certificate, one that stalls, lies, floods or hangs up.
//
// A [Server] behaves as its [Behaviour] says and records what it saw, per
// connection: TLS or not, every command, every message with its envelope. It
// serves a loopback listener or one end of a net.Pipe, also within
// testing/synctest. For dialogues that no behaviour covers there are scripts, a
// list of [Step] played word for word. A [PKI] issues certificates that are valid,
// or wrong in one way.
//
// The package does not import testing, so that a laboratory program can use it
// as well.
package smtptest

// TB is what the helpers need of a *testing.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}
