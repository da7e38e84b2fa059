// Package sendopt reads what a sender asks for besides the message: tags, flags, moments, windows, time
// zones, variables, templates.
//
// Options come as parameters of the API (o:, h:, v:, t: and a few without a prefix) and as control fields of a
// submitted message (X-Mailgun-*, X-Sealpost-*). [Parse] makes one [Options] of both, so that a wish means the same
// however it was said. It is pure: whether a wish may be granted is not decided here, only whether it can be
// understood. What cannot be is refused with an *[Error]; nothing is guessed.
package sendopt
