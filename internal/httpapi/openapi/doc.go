// Package openapi serves the description of the HTTP API as an OpenAPI document. The
// document is made from what the server really does: its table of routes, the comments of
// the handlers, and the contract files, which tests hold against the handlers. A
// test of the app room makes it again and compares.
package openapi
