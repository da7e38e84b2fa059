// Package tracking is the HTTP side of tracked mail, of which there are two. Senders set for a domain
// what is tracked: /v3/domains/{domain}/tracking and what is below it. Recipients follow the links in
// their mail: the only addresses besides the root of the API that anybody may ask for without a key
// (SEC-65). An image and a redirect cost nothing; a page lets people unsubscribe, and only a POST does
// it: programs that look at links must not sign anybody off.
//
// What a link says is known to the tracking room, what a visit means to tracking/visit.
package tracking
