// Package logs answers the log call of v1: the events of an account's domains, picked by
// conditions, in the order of time, a page at a time.
//
// The page token carries the whole search, with the bounds that "now" and "the last day" had
// when it began, so that every page belongs to the same answer. Following the tokens shows each event once
// and ends with a page that has no next one.
package logs
