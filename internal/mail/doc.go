// Package mail holds the nouns of relaying: ids, addresses, envelopes, replies,
// jobs and the reports that come back from an attempt. Their names are those of
// RFC 5321 and RFC 5598. The package decides nothing and does no input or output;
// every other room speaks in these values.
package mail
