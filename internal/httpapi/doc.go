// Package httpapi is the HTTP door: the Mailgun-compatible API that
// applications send through and read events from, and the administration calls of
// this server's own command line beside it.
//
// A request passes the same stations in the same order: its size and time are
// bounded, its key is looked up, the route's row in one table says whether that
// key may call it and for which domain, the domain is found, the parameters are
// read. Only then a handler runs. Handlers return an error or write an
// answer; one place turns errors into a status and a body.
//
// The names, texts and shapes on the wire are Mailgun's where clients may
// depend on them; docs/reference/http-api.md lists them and what is ours.
//
// What a message must look like to be accepted is decided by the accept room,
// what becomes of it by the queue. DNS, TLS probes and storage are reached through the
// interfaces declared here or in store.
package httpapi
