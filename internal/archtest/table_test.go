package archtest

import "slices"

// room says what one package may import of this module, by the path below
// internal/. Everything else is forbidden, above all the room next door: rooms hand each
// other values of the packages beneath them, and declare the small interfaces they need.
type room struct {
	imports string // space-separated
	tests   string // what its test files may import besides; test support always
}

// testSupport is what every test file may import.
const testSupport = "dnstest realmta smtptest store/storetest"

// table holds every package of the module by its path below internal/, from the nouns up to
// the commands. A package that is not here is refused; a room that is here and not built yet is a plan.
func table() map[string]room {
	return map[string]room{
		// Nouns and pure helpers.
		"tlsresult":    {},
		"mail":         {imports: "tlsresult"},
		"event":        {imports: "mail tlsresult"},
		"event/filter": {imports: "event mail"},
		"tlspolicy":    {imports: "mail tlsresult"},
		"password":     {},
		"pkix":         {},
		"netguard":     {},

		// Storage: the contract, and those who keep it.
		"store":        {imports: "event mail tlsresult"},
		"store/confdb": {imports: "event mail store"},
		"store/sqlite": {imports: "event mail store store/confdb"},

		// Facts about the recipient.
		"dnssec": {},
		"mx":     {imports: "dnssec mail netguard tlspolicy"},
		"mtasts": {imports: "dnssec mail netguard pkix tlspolicy tlsresult"},
		"dane":   {imports: "dnssec mail pkix tlspolicy tlsresult"},

		// Out: one attempt, and when to make it.
		"smtpclient": {imports: "mail"},
		"throttle":   {imports: "mail"},
		"delivery":   {imports: "dane dnssec mail mtasts mx netguard pkix smtpclient throttle tlspolicy tlsresult"},
		"queue":      {imports: "event mail store throttle", tests: "store/sqlite"},

		// In: two doors, and the room behind both.
		"compose":    {imports: "mail"},
		"signing":    {imports: "mail"},
		"credential": {imports: "mail password store"},
		"accept":     {imports: "compose event mail signing store", tests: "store/sqlite"},
		"httpapi":    {imports: "accept compose credential event event/filter mail password signing store", tests: "store/sqlite"},
		"submission": {imports: "accept credential mail password store", tests: "store/sqlite"},

		// What follows from events.
		"webhook":   {imports: "event mail netguard store", tests: "store/sqlite"},
		"dashboard": {imports: "event event/filter mail store", tests: "store/sqlite"},
		"dsn":       {imports: "accept event mail store", tests: "store/sqlite"},
		"tlsrpt":    {imports: "accept event mail store tlsresult", tests: "store/sqlite"},

		// The whole: only app knows who implements what.
		"config":    {},
		"apiclient": {imports: "event mail"},
		"lab":       {imports: "config dnssec dnstest event mail mx netguard smtptest store tlspolicy"},
		"app": {imports: "accept compose config credential dane dashboard delivery dnssec dsn event event/filter httpapi mail mtasts mx " +
			"netguard password pkix queue signing smtpclient store store/sqlite submission throttle tlspolicy tlsresult tlsrpt webhook",
			tests: "lab"},
		"cli": {imports: "apiclient app config event lab mail tlspolicy"},

		// Test support: no program contains it, except the lab's receivers and zones.
		"dnstest":         {imports: "dnssec"},
		"smtptest":        {imports: "mail"},
		"store/storetest": {imports: "event mail store"},
		"realmta":         {},
		"archtest":        {},
		"bench": {tests: "accept app compose config credential delivery dnssec event httpapi mail mx queue signing smtpclient store " +
			"store/sqlite submission throttle tlspolicy"},
		"deps": {}, // holds modules in go.mod until their rooms are built

		"../cmd/sealpost": {imports: "cli"},
	}
}

// mayImportTesting are the packages that are made of tests. The lab must not
// depend on them, or the program would carry the flags of the testing package.
func mayImportTesting(pkg string) bool {
	return slices.Contains([]string{"realmta", "store/storetest"}, pkg)
}
