// Package e2e tests the whole server as its users meet it: built by the composition
// root from a configuration file, spoken to through its real doors (the HTTP API, SMTP
// submission, the operator's socket), with real storage and real sockets on loopback.
// Around it stand a DNS server and receivers that do what a test tells them to and
// remember what they saw.
//
// What is asserted is what somebody outside could see: the receiver's own record of the
// connection, the events that the API shows, the content as it arrived. The rooms' own
// tests are for everything that is inside. There is no code here but tests.
package e2e
