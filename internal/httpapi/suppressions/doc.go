// Package suppressions is the group of calls about who gets no mail of a domain: bounces, unsubscribes,
// complaints, and the whitelist of addresses and domains that never bounce onto the first. The four lists
// have the same calls, and each its own words; a table holds them.
package suppressions
