// Package numbers answers the calls about numbers: the totals and aggregates of v3, the tags of a
// domain and of an account, and the metrics of v1. Every answer comes from counters; how
// they come to be is the tally room's business.
//
// Counters are at most a second or two behind the event log. What they cannot tell is refused
// rather than guessed, such as two dimensions that are not counted together.
package numbers
