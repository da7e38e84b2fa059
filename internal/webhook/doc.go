// Package webhook tells users' servers what happened to their messages: for each event
// that a webhook asks for, one signed POST of the event as JSON.
//
// The event log is the outbox. An event is in it in the same transaction as what caused
// it, so the room follows the log and keeps how far it has come; a call that is taken at
// once never costs a row. What a target does not take is kept as a row with the time of its next
// attempt. The position passes an event only when the event was taken or its row is on
// disk: each event is told at least once, and told again when the process dies in between;
// receivers know repetitions by the event's id.
//
// Every target has a queue, slots and pauses of its own. One that is slow or dead falls
// behind in the log, where its backlog costs no memory, and reads on from there when it
// comes back; the others do not notice. One that has not taken anything for a week
// is disabled, visibly.
//
// What the calls mean, and what they are signed with, is Mailgun's. Which addresses may be
// called is decided by the client that makes the calls.
//
// Weakness: successes are logged in memory only (the last ones of each target), so that a
// restart forgets them. Failures are kept.
package webhook
