// Package suppression keeps a sender from writing to those who must get no mail.
//
// Who goes on mailing addresses that do not exist, or people who unsubscribed or complained, is taken for a
// spammer, and soon nobody gets its mail. So every sending domain has lists of such addresses, kept by
// store.Suppressions and asked by the rooms that accept and attempt mail.
//
// What this package does: it reads entries as strangers write them ([Parse]), from the API or from
// CSV files that a [Room] takes and reads in the background; it adds those who unsubscribe or complain; and
// [Bounces] follows the event log and adds the addresses whose own host said that they do not exist.
// docs/adr/0022 has the reasons for what is added and what is not.
package suppression
