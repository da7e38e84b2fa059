// Package apiclient calls Sealpost's HTTP API for the program's own commands.
//
// The world outside has many clients for this API, written for Mailgun. This one
// adds what they lack: the administration calls under /v1/sealpost, a unix socket
// as the way to a server on the same host, and a handler in the same process as a
// server that nobody started yet. Every answer is kept as the server wrote it, so that
// programs see the API's JSON and not our idea of it.
//
// What it reads comes from a server that may be anything behind a mistyped address:
// answers are bounded in size and time, redirects are not followed, and links in answers
// are used for their page token only, so that a key never travels to another host.
// Text in answers is as foreign as the mail it tells about; whoever shows it escapes it.
//
// How results look and which exit code they mean is the business of the commands.
package apiclient
