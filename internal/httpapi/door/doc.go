// Package door is what all HTTP calls share: a request's size and time are
// bounded, its key is looked up, the route's row in one table says whether that key may
// call it and for which domain, the domain is found. Only then the route's handler
// runs. Handlers return an error or write an answer; one place turns errors into a
// status and a body.
//
// The calls themselves are in the packages beside it, one for each group of them. They
// read parameters with [Request.Params] or [Request.Form], answer with [Reply], and
// refuse with a [Problem].
package door
