// Package outhttp is the one HTTP client for addresses that users name: webhooks today,
// reports and templates by URL as well.
//
// Who may name a URL can make a server connect to it. So the client connects only where
// the operator's policy on addresses lets it, decided on the address of the socket at the
// moment of connecting, whatever the name said when it was looked at; it speaks only http
// and https, to ports that web servers use; it follows no redirect, asks no proxy, sends no
// credentials, keeps no cookies, verifies certificates, and reads 64 KiB of an answer at
// most (SEC-66).
//
// What an answer means is left to the caller, and so is the policy on addresses.
package outhttp
