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
const testSupport = "dnstest httpapi/apitest httpapi/contract proportion realdns realmta smtptest store/storetest"

// table holds every package of the module by its path below internal/, from the nouns up to
// the commands. A package that is not here is refused.
func table() map[string]room {
	return map[string]room{
		// Nouns and pure helpers.
		"mail":         {},
		"tlsresult":    {},
		"event":        {imports: "mail"},
		"event/filter": {imports: "event mail"},
		"strictjson":   {},
		"merge":        {imports: "mail strictjson"},
		"handlebars":   {imports: "strictjson"},
		"plaintext":    {},
		"routing":      {imports: "mail"},
		"tlspolicy":    {imports: "mail tlsresult"},
		"pkix":         {},
		"netguard":     {},
		"outhttp":      {tests: "netguard"},

		// Storage: the contract, and those who keep it.
		"store":         {imports: "event mail tlsresult"},
		"store/confdb":  {imports: "event mail store tlsresult"},
		"store/countdb": {imports: "mail store"},
		"store/sqlite":  {imports: "event mail store store/confdb store/countdb"},
		"peers":         {imports: "store"},

		// What follows from events.
		"follow": {imports: "event mail store", tests: "store/sqlite"},
		"tally":  {imports: "event follow mail store", tests: "store/sqlite"},
		"impact": {imports: "event mail store tlspolicy", tests: "store/sqlite"},
		// What can be proven afterwards: the nouns and the judge, and who keeps the log.
		"evidence/proof": {imports: "event mail"},
		"evidence":       {imports: "event evidence/proof mail store", tests: "store/sqlite"},

		// Facts about the recipient.
		"dnssec": {},
		"mx":     {imports: "dnssec mail"},
		"dane":   {imports: "dnssec tlspolicy"},
		"mtasts": {imports: "dnssec store tlspolicy tlsresult", tests: "netguard store/sqlite"},

		// Out: one attempt, and when to make it.
		"smtpclient": {imports: "mail"},
		"throttle":   {},
		"delivery":   {imports: "dane dnssec mail mtasts mx netguard pkix smtpclient tlspolicy tlsresult", tests: "impact store store/sqlite"},
		"refusal":    {imports: "mail"},
		"queue":      {imports: "event mail refusal store throttle", tests: "store/sqlite"},

		// In: two doors, and the room behind both.
		"compose":                  {imports: "mail"},
		"signing":                  {imports: "mail"},
		"credential":               {imports: "mail store"},
		"sendopt":                  {imports: "compose handlebars mail merge strictjson tracking"},
		"stencil":                  {imports: "handlebars mail merge plaintext sendopt tracking"},
		"spool":                    {imports: "store"},
		"accept":                   {imports: "compose event handlebars mail merge sendopt signing spool stencil store strictjson tracking", tests: "store/sqlite"},
		"httpapi/door":             {imports: "accept compose mail sendopt store strictjson"},
		"httpapi/openapi":          {imports: "httpapi/door", tests: "store store/sqlite"},
		"httpapi/openapi/generate": {},
		"httpapi":                  {imports: "accept compose credential event event/filter evidence/proof httpapi/door httpapi/envelopes mail signing store", tests: "domaindns evidence httpapi/domains httpapi/feedback httpapi/keys keyuse store/sqlite"},
		"submission":               {imports: "accept mail", tests: "compose credential signing store store/sqlite"},
		"httpapi/predicate":        {imports: "httpapi/door"},
		"httpapi/feedback":         {imports: "event httpapi/door mail store", tests: "store/sqlite suppression"},
		"httpapi/envelopes":        {imports: "httpapi/door mail store"},
		"httpapi/numbers":          {imports: "httpapi/door httpapi/predicate mail store tally", tests: "event store/sqlite"},
		"httpapi/logs":             {imports: "event httpapi/door httpapi/predicate mail store", tests: "store/sqlite"},
		"httpapi/templates":        {imports: "handlebars httpapi/door store strictjson"},
		"httpapi/routes":           {imports: "httpapi/door mail routing store"},
		"httpapi/lists":            {imports: "httpapi/door mail store strictjson"},
		"httpapi/webhooks":         {imports: "event httpapi/door mail outhttp store webhook", tests: "follow netguard store/sqlite"},
		"certs":                    {},
		// Tracked mail: texts and programs, what links say, what following them means.
		"tracking/markup":  {},
		"tracking/agent":   {imports: "event"},
		"tracking":         {imports: "mail store tracking/markup", tests: "store/sqlite"},
		"tracking/visit":   {imports: "event mail store tracking tracking/agent"},
		"httpapi/tracking": {imports: "httpapi/door mail store tracking tracking/visit", tests: "event httpapi/contract store/sqlite"},
		// What belongs to those who send.
		"dkimkeys":    {imports: "signing store"},
		"domaindns":   {imports: "store"},
		"keyrotation": {imports: "dkimkeys domaindns store", tests: "store/sqlite"},
		"keyuse":      {imports: "store", tests: "store/sqlite"},
		"egress":      {imports: "store", tests: "store/sqlite"},

		// Groups of HTTP calls.
		"httpapi/domains":  {imports: "dkimkeys domaindns httpapi/door mail signing store", tests: "egress store/sqlite"},
		"httpapi/keys":     {imports: "httpapi/door mail store", tests: "store/sqlite"},
		"httpapi/accounts": {imports: "httpapi/door mail store strictjson", tests: "store/sqlite"},
		"httpapi/ips":      {imports: "httpapi/door mail store", tests: "egress store/sqlite"},

		// TLS reports: the document, and who counts, waits and sends.
		"tlsrpt/report": {imports: "mail tlsresult"},
		"tlsrpt":        {imports: "accept compose mail store tlsresult tlsrpt/report", tests: "queue store/sqlite"},
		// What follows from events.
		"dsn":                  {imports: "accept event mail store tlspolicy", tests: "store/sqlite"},
		"suppression":          {imports: "event follow mail sendopt store", tests: "queue store/sqlite"},
		"httpapi/suppressions": {imports: "httpapi/door store suppression", tests: "store/sqlite"},
		"webhook":              {imports: "event follow mail outhttp store throttle", tests: "netguard store/sqlite"},

		// The whole: only app knows who implements what.
		"config":    {imports: "mail"},
		"apiclient": {imports: "event mail"},
		"lab":       {imports: "dnssec event mail smtptest"},
		"app": {imports: "accept certs config credential dane delivery dnssec domaindns dsn egress evidence follow httpapi httpapi/accounts httpapi/domains httpapi/door httpapi/feedback httpapi/ips httpapi/keys httpapi/lists httpapi/logs httpapi/numbers httpapi/openapi httpapi/routes httpapi/suppressions httpapi/templates httpapi/tracking " +
			"httpapi/webhooks impact keyrotation keyuse lab mail mtasts mx netguard outhttp peers pkix queue signing smtpclient store store/sqlite submission suppression tally throttle tlsrpt tlsrpt/report tracking tracking/visit webhook", tests: "httpapi/openapi/generate mail"},
		"cli": {imports: "apiclient app config event evidence/proof lab mail store tlsresult tlsrpt/report"},

		// Test support: no program contains it, except the lab's receivers.
		"dnstest":          {imports: "dnssec"},
		"smtptest":         {},
		"store/storetest":  {imports: "event mail store tlsresult"},
		"httpapi/apitest":  {imports: "httpapi/door keyuse store store/sqlite"},
		"httpapi/contract": {},
		"proportion":       {},
		"daemon":           {},
		"realmta":          {imports: "daemon"},
		"realdns":          {imports: "daemon"},
		"archtest":         {},
		"interop":          {tests: "app config store/sqlite"},
		"e2e":              {tests: "accept app compose config event evidence/proof lab mail signing store store/sqlite tlsresult tlsrpt/report"},
		"bench":            {tests: "accept app config event mail store"},

		"../cmd/sealpost": {imports: "cli"},
	}
}

// mayImportTesting are the packages that are made of tests. The lab must not
// depend on them, or the program would carry the flags of the testing package.
func mayImportTesting(pkg string) bool {
	return slices.Contains([]string{"httpapi/apitest", "httpapi/contract", "proportion", "realdns", "realmta", "store/storetest"}, pkg)
}
