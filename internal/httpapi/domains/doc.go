// Package domains has the calls about sending domains: the domains themselves with the
// records they need in DNS, their DKIM keys, how their mail is sent, and the logins by which it
// is submitted.
package domains
