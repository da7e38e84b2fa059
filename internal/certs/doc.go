// Package certs gives the doors their TLS certificates.
//
// A server that is to be believed shows a certificate of an authority that its clients trust.
// Either somebody gets it and puts it into two files ([Files]), or the server gets it itself
// ([Manager]): by ACME (RFC 8555) it asks an authority for it, shows that the names are its own,
// at port 80 (HTTP-01) or in a TLS handshake at port 443 (TLS-ALPN-01, RFC 8737), and asks
// again long before the certificate ends. Neither needs a restart when the
// certificate is replaced, and both keep the old one while there is no good new one.
//
// The protocol is certmagic's. This package says which authority, which names, where
// things are kept and what becomes of certmagic's words; it listens nowhere: the doors do, and ask
// Get in every handshake.
package certs
