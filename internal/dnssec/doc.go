// Package dnssec asks the DNS about names, and keeps every kind of answer apart.
//
// DNS answers a mail server in four ways: here are the records, the name has none
// of that type, the name does not exist, or "I could not find out". The last one
// is what kills mail when it is mistaken for one of the others: a timeout read as
// "no such domain" bounces a message, and read as "no TLSA record" sends it without
// the protection its recipient published. [Answer] therefore names its [State],
// and the zero value of that is [Failed].
//
// [Stub] is a stub resolver: it asks a recursive resolver, follows aliases, bounds
// everything it is sent, remembers answers for as long as their TTL allows and asks
// each question only once at a time. It does not validate signatures. It reads the
// AD bit (RFC 6840 section 5.8) and believes it only from a resolver reached over
// loopback or one that the operator has marked as trusted. Even such a resolver may not
// validate, and then DANE would never engage and nobody would notice: [Stub.Run] probes,
// and [Stub.Status] says what is known. [Overlay] puts fixed answers in front of any
// other [Resolver].
//
// What the answers mean for mail is left to mx, dane and mtasts.
package dnssec
