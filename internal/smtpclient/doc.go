// Package smtpclient speaks SMTP to one MX host (RFC 5321), as the side that has
// mail to hand over.
//
// The other side is chosen by whoever owns the recipient domain, so every octet
// that comes back is foreign: a reply has a largest line, a largest number of
// lines, a largest size and a moment by which all of it must be there. Anything
// that does not fit the protocol ends the connection and proves nothing about the
// message. The one octet sequence that counts as delivered is a well-formed 2xx
// reply received after the end of the content was sent.
//
// A [Client] performs steps and reports facts: what the server said to each
// recipient, how TLS negotiation went, and how far a transaction came when it
// broke. It leaves to others whether those facts suffice: which TLS level is
// needed, whether a certificate verifies, whether to continue in plaintext, when
// to try again. It does not resolve or dial; a connected net.Conn is handed in.
//
// The usual order of calls is
//
//	c := smtpclient.New(conn, smtpclient.Config{Name: "mail.example.org"})
//	defer c.Close()
//	err := c.Hello(ctx)                 // greeting, EHLO
//	facts, err := c.StartTLS(ctx, cfg)  // explicit; the caller judges the facts
//	err = c.Hello(ctx)                  // EHLO again, all was forgotten
//	result, err := c.Send(ctx, tx)      // as often as there are messages
//	err = c.Quit(ctx, 0)
package smtpclient
