// Package merge puts what is known of a recipient into the texts of a message: mail merge, as
// Mailgun's recipient-variables have it.
//
// A text holds places such as %recipient.first_name% or %recipient_email%. [Parse] finds them
// once; [Text.Fill] then writes the text for one [Person] after the other. A place for which nothing is
// known stays as it was typed, because a percent sign is an ordinary character of
// ordinary mail. Values are put in as they are, in HTML too: whoever gives them says what is markup.
//
// Everything here is text in, text out. What a value must not do to a header field is checked by
// who writes the field, after the values are in (SEC-14); how many octets all copies will
// have can be asked before any is written ([Text.Size], SEC-21).
package merge
