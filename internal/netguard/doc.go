// Package netguard answers one question: may we open a connection to this address?
//
// Whoever controls a name controls where it points. An MX record, a webhook URL or an
// MTA-STS host can name 127.0.0.1, the cloud's metadata service or a database in the
// private network, and a server that connects there works for the attacker. IPv6
// adds a handful of ways to write an IPv4 address inside another one.
//
// There is one such check in the program, made on the socket's real address at the
// moment of connecting ([Policy.ControlContext]), so that no copy lags behind and
// no name can change its answer between check and use (SEC-41, SEC-47).
//
// It cannot know an address of ours that only exists outside this machine, such as the
// public side of a port forwarding; the trace headers end such loops (SEC-48).
package netguard
