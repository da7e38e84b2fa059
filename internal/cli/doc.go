// Package cli is the command line: what operators and scripts type.
//
// The commands own no data. Whatever they show or change goes through the HTTP API,
// and reaches it by the first of three ways that exists: the server named by --url; the
// socket of the server that runs on the configuration's data folder, where
// the file's permissions are the authority; or, while no server runs, the same API in this
// process, which holds the folder's lock meanwhile.
//
// People get tables, programs get the API's JSON. Much of what is shown was written by
// strangers, such as the replies of mail servers, so that no control character of it reaches the
// terminal (SEC-75).
//
// The model of the commands is one struct; parsing, help and docs/reference/commands.md
// follow it. Serving and the API itself are the business of other rooms, which
// are handed in as functions.
package cli
