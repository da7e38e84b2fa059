// Package agent guesses which program visited a link, and whether a person was behind it.
//
// Opens and clicks are counted for people, but programs come first. Apple's Mail loads all
// images through proxies as soon as a message arrives (Mail Privacy Protection), Gmail and Yahoo load them
// through proxies of theirs when it is shown, gateways follow every link to see what is behind it, chats
// fetch a preview of what somebody pasted. [Classify] reads what the program says about itself, and
// when it came. It is a guess by words that are written down here in tables, newest knowledge of
// autumn 2026; a program that wants to pass for a person does.
package agent
