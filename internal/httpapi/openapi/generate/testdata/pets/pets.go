// Package pets is read by the tests of package generate, and by nothing else.
package pets

import "net/http"

type Request struct{}

type door struct{ Request Request }

type Calls struct{}

// list lists pets, oldest first. There are no more than a hundred.
func (Calls) list(w http.ResponseWriter, r *door.Request) error { return nil }

// list is not a handler, and does not speak for one.
func list(names []string) []string { return names }

// made answers with the numbers of pets by kind.
func made(kind string) func(http.ResponseWriter, *door.Request) error { return nil }

func (Calls) create(w http.ResponseWriter, r *door.Request) error { return nil }

// gone answers 404, since nobody sells pets here.
func (Calls) gone(w http.ResponseWriter, r *door.Request) error { return nil }
