// Package interop tries the whole server against mail software that others wrote:
// Postfix and Exim as receivers, swaks and Postfix as clients of the submission door.
//
// Scripted receivers show that we do what we mean to do. They cannot show that it
// means the same to others, because one author wrote both sides. Here the other side is
// what most of the world runs, and the witnesses are its mailboxes, its Received fields and its
// logs: where our event says that a message went over TLS with some cipher, the
// receiver must say so too.
//
// The package has no code of its own. Its tests start everything themselves, on loopback
// addresses and ports that are free, and fail with one line that says what to install when
// a program is missing. Single rooms, and receivers that misbehave, are tested elsewhere.
package interop
