// Package interop tries the whole server against mail software that others wrote:
// Postfix and Exim as receivers, swaks and Postfix as clients of the submission door.
//
// Scripted receivers show that we do what we mean to do. They cannot show that it
// means the same to others, because one author wrote both sides. Here the other side is
// what most of the world runs, and the witnesses are its mailboxes, its Received fields and its
// logs: where our event says that a message went over TLS with some cipher, the
// receiver must say so too.
//
// What recipients publish is tried the same way: over zones that a real signer signed
// and a real resolver validates, with Postfix's own probe as the second opinion on every
// case of DANE, and with policies of MTA-STS from a real web server.
//
// The package has no code of its own. Its tests start everything themselves, on loopback
// addresses and ports that are free, and fail with one line that says what to install when
// a program is missing. Single rooms, and receivers that misbehave, are tested elsewhere.
package interop
