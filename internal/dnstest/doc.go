// Package dnstest is a DNS resolver for tests: it knows only the zones it is given,
// marks them secure (AD) or not, and fails in every way that a resolver can.
//
// A [Server] answers over real sockets on loopback after [Server.Listen], and over
// pipes through [Server.Dial], which fits into a testing/synctest bubble. It validates
// nothing and signs nothing. It needs no *testing.T, so that a whole program can be
// run against it; [Start] is the short form for tests.
package dnstest
