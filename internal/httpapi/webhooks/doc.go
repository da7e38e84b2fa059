// Package webhooks is the HTTP calls about webhooks: those of a domain in two versions, those
// of an account, the key that signs what they are told, and our own calls about how that goes.
//
// What may be set is decided by pure functions on the list of webhooks (rules.go), which the
// store calls inside its transaction; so two clients that add a URL at the same
// moment cannot exceed a limit together. Errors have the shapes of these calls alone,
// Reason, Description or Field and Value, as clients know them.
package webhooks
