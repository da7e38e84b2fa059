// Package tally counts events. Senders want to know how much of their mail arrived, was opened
// or bounced, by day, tag or recipient domain, and they ask often; looking at the events each time
// would cost more than sending the mail.
//
// A [Room] follows the event log and adds every event exactly once to the counters it belongs to,
// a page at a time: see [Tally], which is pure. A [Book] answers questions from the counters, and
// never from events. What the counters mean in the words of the API is a [Metric].
//
// What it does not do: keep counters, which is the store's, and decide who may ask.
package tally
