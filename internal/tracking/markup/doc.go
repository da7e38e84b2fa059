// Package markup changes the links in the texts of a message and nothing else.
//
// The HTML of mail is not the HTML of the web. It is written by editors, by hand
// and by programs that are twenty years old; it leaves tags open, hides half of itself
// from everybody but Outlook in conditional comments, and looks right only because every
// octet is where it is. Who parses it and writes it out again has written another
// message. So [HTML] goes over the octets once, finds the values of href attributes, and
// replaces these; what it adds, a footer and an image of one pixel, stands at places where
// any reader allows it. All else is copied. [Text] does the same for links that stand bare
// in plain text.
//
// Everything here is a function of its arguments. Which links there are to be, and what
// a visit means, is the business of the room above.
package markup
