package compose

// Limits on what comes in and goes out.
const (
	MaxHeader       = 256 << 10 // octets of a header section
	MaxField        = 64 << 10  // octets of one field of a submitted message, or one custom header
	MaxFields       = 1000      // fields of a header section
	MaxReceived     = 100       // Received fields: more are a loop
	MaxDepth        = 20        // multiparts and messages inside each other
	MaxParts        = 1000      // parts in all
	MaxLine         = 998       // octets of a line without its CRLF (RFC 5322 section 2.1.1)
	MaxMessageID    = 255       // octets of a Message-ID
	MaxViewText     = 4 << 20   // octets of one text in a View
	MaxFileNameSize = 255       // octets of a file name
)
