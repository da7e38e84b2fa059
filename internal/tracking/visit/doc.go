// Package visit is what happens when somebody follows a link of tracked mail: the event goes
// to the log of its message, with a guess whether it was a person (tracking/agent), and who unsubscribes
// goes to the suppression list of the domain.
//
// Anybody can make such requests, as often as they like, so three things are limited here: how many
// false links a client may try, how many events one link may cause, and how long a visitor waits
// for our disk. A link works whether its visit is recorded or not. It works as long as its
// domain exists: also when its message was forgotten long ago, since mail is kept longer than
// logs. How an answer looks is the business of the HTTP door.
package visit
