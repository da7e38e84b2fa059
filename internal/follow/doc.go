// Package follow is the loop behind everything that follows from events: counters,
// webhooks, automatic suppressions. An event is in the log in the same transaction as what
// caused it; so the log is the outbox, and nothing has to be written twice on the way
// of a message.
//
// A [Follower] gives the events of all domains, in order, to a function that stores
// what follows from them together with how far it has come: each event has its effect exactly
// once, however the process ends. A [Tail] lets several followers share one reading of
// the log's end.
package follow
