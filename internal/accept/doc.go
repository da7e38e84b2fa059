// Package accept takes responsibility for messages.
//
// Mail is handed to a relay by submission (RFC 6409): a sender the server knows
// gives it a message and a list of recipients, and from the moment the server
// says yes the message is the server's to deliver or to report. Ours comes in by two doors, an
// HTTP API and SMTP. Both end here, so that what may be sent, by whom, as whom and how large,
// is decided once and alike.
//
// [Room.Accept] checks a [Submission], writes the message as it will travel, signs
// it, works out envelope, queue rows and events, and has the store commit them
// together. It returns success only after the store did. Then it hands the
// message to the scheduler, so that the usual message is attempted without
// being read back. Contents pass through a spool (package spool), never as a whole
// in memory.
//
// The unit of all this is the letter: one copy of a submission, for one recipient or for several who get the
// same octets. Most submissions are one letter; with recipient-variables, or when
// links are tracked, they are many. What differs from letter to letter is decided when it is written;
// the letters of a submission share their octets (spool.Arena) and are stored all or none.
//
// A refusal is an *[Error], which both doors can render. The package does not
// authenticate anybody and knows neither SMTP nor HTTP; what the options of a message mean is
// sendopt's work, how a message is written and checked compose's, the signature signing's.
package accept
