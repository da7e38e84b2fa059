// Package realmta runs real mail servers for tests: Postfix and Exim, as the
// Debian packages ship them, each as a private instance on a loopback port with
// its configuration, queue, log and mail below one temporary folder. A test that delivers to them
// sees what the world's two most common MTAs make of our mail, not what we think they do.
//
// A server accepts all mail for the domains it was given and stores every
// recipient's copy in one maildir, with the envelope in header fields at the top. It
// relays nothing, resolves nothing and speaks to nobody but its clients, unless
// [Options.Relay] makes it a client of the submission server under test. It
// stops when the test ends, also when the test process dies.
//
// [Finger] is the other side: Postfix's own probe of a destination, with DANE, as
// a second opinion on ours. Its names come from a realdns world.
//
// Postfix insists on being started by root. Exim runs as its own user when root
// starts it, otherwise as the user who does. A machine that lacks one of them fails the test with one line
// that says what to install; tests are never skipped for it. The package installs
// nothing itself: scripts/install-test-parts.sh does.
package realmta
