// Package realdns runs a real DNS for tests: a private root and the zones a test describes, signed
// by ldns-signzone with fresh keys, served by nsd, and resolved by an unbound that validates
// them from the root's key down. A test that asks it sees the AD bits, the proofs of absence and the extended
// errors (RFC 8914) that an operator's resolver gives, not what we think it gives.
//
// [Start] makes such a [World], usually in less than half a second; subtests may share it.
// Zones can be signed with NSEC or NSEC3, unsigned below a proof that they are, and broken in the ways
// that happen: see [Breakage]. A name below no zone does not exist, and the root proves it.
//
//	world := realdns.Start(t, realdns.World{Zones: []realdns.Zone{
//		{Name: "good.test", Signed: true, Records: "@ MX 10 mx\nmx A 127.0.0.2\n_25._tcp.mx TLSA 3 1 1 …"},
//		{Name: "bogus.test", Signed: true, NSEC3: true, Records: "…",
//			Breaks: []realdns.Break{{How: realdns.WrongSignature, Type: "TLSA"}}},
//		{Name: "unsigned.test", Records: "…"},
//	}})
//	resolver, err := dnssec.New(dnssec.Config{Servers: []string{world.Addr()}})
//	opinion := realmta.NewFinger(t, world.Addr(), roots).Probe(t, "good.test:25")
//
// Everything listens on a loopback address of the world's own, so worlds do not meet, and no packet
// leaves the machine. The resolver takes port 53 there when it may, which
// programs need that read /etc/resolv.conf, such as posttls-finger
// (realmta.Finger). The programs end with the test, also when the test process dies.
//
// A machine that lacks one of the programs fails the test with one line that says what to install;
// tests are never skipped for it. The package installs nothing itself:
// scripts/install-test-parts.sh does. For moods that a real server does not have, such as
// silence for one type only, there is dnstest.
package realdns
