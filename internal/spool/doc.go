// Package spool keeps octets of messages between two passes over them: in memory while they are few, then in a
// file without a name.
//
// A [Spool] holds one message. An [Arena] holds the letters of one submission, which are mostly alike, in the room of
// one and a little. Neither knows what is in the octets but that they come in lines.
package spool
