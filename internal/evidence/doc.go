// Package evidence keeps the evidence of deliveries: a record of every attempt for
// every recipient that can be shown to an auditor, and that nobody can change later
// without being found out, the operator included. What a record says, and how it is
// proven, is in package proof.
//
// The log is derived from the event log, behind the back of the delivery: a
// follower reads what was committed, in the order of the events' ids, and appends a record for
// each outcome. Deliveries therefore pay nothing, and no outcome can be without its
// evidence for longer than the follower lags.
//
// In the folder every UTC day has a file of records (2026-11-25.log, a line of JSON each),
// the hashes of its Merkle tree (.tree) and its newest signed checkpoint (.checkpoint).
// A day is that of the event's id. Checkpoints are signed while a day goes on, every minute in
// which something was added, and once more when it is over and sealed.
//
// One rule makes the log safe against every crash: what is signed must be on disk and must
// match; what is not signed yet is cut off at the next start and derived once more
// from the events, which are kept until their records are signed. If what was signed
// does not match any more, somebody or some disk has changed it: then the log stops, and
// says so, rather than sign something that contradicts what it signed before. Mail goes
// on, and so do the events.
//
// Memory is constant: one page of events, the right edge of the tree, and buffers
// of a few hundred KiB, whatever a day holds.
package evidence
