// Package report is the TLS report of RFC 8460 as a document.
//
// A domain that receives mail can ask those who send it mail for a daily summary: how
// many TLS sessions succeeded under which of its policies, how many failed, and why. It
// asks with a TXT record at _smtp._tls.<domain>; the summary is JSON, usually
// compressed, and travels by mail or by HTTPS.
//
// The package knows the forms and nothing else: the record that asks ([ParseRecord]),
// the JSON both ways ([Document], [Decode]), the file name and the mail that carry it
// ([Mail]), how to get a report out of whatever it came in ([Open]), and what its
// terms mean to the person who has to mend something ([Explain]). Counting, waiting and
// sending is the work of package tlsrpt.
//
// Everything that is read here was written by strangers. It is bounded, and returned
// as it is: who shows it must quote it.
package report
