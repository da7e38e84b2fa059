// Package countdb keeps the counters of events: how much mail each sending domain, tag and
// recipient domain saw in each hour. A series is a row, found by its names; a counter is a row of a
// series, an hour and a kind, and is only ever added to. What follows the event log writes a
// page's worth of them at a time, one row for each counter that changed, and with
// them how far it has read: so each event is counted once, however the process ends.
//
// Old hours become days, and old days months. What counts once for each recipient, such as
// the first opening of a message, is remembered for as long as the message is.
//
// The statements are written in the SQL that SQLite and PostgreSQL both accept. Which
// database that is, how its tables come to be and how a transaction is run there is left to
// the engine that opens it.
package countdb
