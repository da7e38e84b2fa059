package agent

import "strings"

// Values of event.ClientInfo.ClientType.
const (
	browser       = "browser"
	mobileBrowser = "mobile browser"
	emailClient   = "email client"
	robot         = "robot"
	library       = "library"
)

// A program is a kind of visitor, known by words in its User-Agent, lower case.
type program struct {
	words            []string
	kind, name, bot  string
	withoutAnyOf     []string // words of others that say the same
	onlyAtBeginOfAll bool
}

func (p program) found(ua string) bool {
	for _, w := range p.withoutAnyOf {
		if strings.Contains(ua, w) {
			return false
		}
	}
	for _, w := range p.words {
		if strings.Contains(ua, w) {
			return !p.onlyAtBeginOfAll || strings.HasPrefix(ua, w)
		}
	}
	return false
}

// programs are looked through in order: proxies and scanners before the browsers they pass
// for, browsers before those whose words they carry.
var programs = []program{
	// Proxies of mailbox providers: a person is looking, or soon will be.
	{words: []string{"googleimageproxy", "via ggpht.com"}, kind: emailClient, name: "Gmail image proxy", bot: Gmail},
	{words: []string{"yahoomailproxy", "yahoocachesystem"}, kind: emailClient, name: "Yahoo Mail proxy"},

	// Gateways that look at links and images before anybody else.
	{words: []string{"safelinks", "microsoft office protocol discovery", "ms-office-existence-discovery", "microsoft office existence discovery", "bingpreview", "skypeuripreview"}, kind: robot, name: "Microsoft", bot: Generic},
	{words: []string{"barracuda"}, kind: robot, name: "Barracuda", bot: Generic},
	{words: []string{"proofpoint", "pphosted"}, kind: robot, name: "Proofpoint", bot: Generic},
	{words: []string{"mimecast"}, kind: robot, name: "Mimecast", bot: Generic},
	{words: []string{"cloudmark", "symantec", "messagelabs", "fireeye", "trend micro", "trendmicro", "sophos", "forcepoint", "websense", "ironport", "cisco-", "avira", "kaspersky", "virustotal", "netcraft", "urlscan", "phishtank", "paloalto", "palo alto", "zscaler", "checkpoint", "vade secure", "spamexperts", "fortigate", "fortiguard"},
		kind: robot, name: "Security gateway", bot: Generic},

	// Previews in chats and networks.
	{words: []string{"slackbot", "slack-imgproxy"}, kind: robot, name: "Slack", bot: Generic},
	{words: []string{"microsoft teams", "microsoftpreview", "teamsbot"}, kind: robot, name: "Microsoft Teams", bot: Generic},
	{words: []string{"facebookexternalhit", "facebot", "meta-externalagent"}, kind: robot, name: "Facebook", bot: Generic},
	{words: []string{"twitterbot"}, kind: robot, name: "Twitter", bot: Generic},
	{words: []string{"linkedinbot"}, kind: robot, name: "LinkedIn", bot: Generic},
	{words: []string{"whatsapp"}, kind: robot, name: "WhatsApp", bot: Generic},
	{words: []string{"telegrambot"}, kind: robot, name: "Telegram", bot: Generic},
	{words: []string{"discordbot"}, kind: robot, name: "Discord", bot: Generic},

	// Libraries and machines.
	{words: []string{"headlesschrome", "phantomjs", "puppeteer", "playwright", "selenium"}, kind: robot, name: "Headless browser", bot: Generic},
	{words: []string{"curl/", "wget/", "python-requests", "python-urllib", "aiohttp", "httpx/", "go-http-client", "okhttp", "apache-httpclient", "java/", "libwww-perl", "node-fetch", "axios/", "undici", "ruby", "guzzlehttp", "php/", "winhttp", "postmanruntime", "scrapy", "restsharp"},
		kind: library, name: "HTTP library", bot: Generic},
	{words: []string{"crawler", "spider", "scanner", "preview", "monitor", "urlresolver", "link check", "linkcheck", "validator", "bot/", "bot;", "bot)", "bot ", "robot", "+http"}, kind: robot, name: "Robot", bot: Generic,
		withoutAnyOf: []string{"cubot"}},

	// Programs to read mail with.
	{words: []string{"thunderbird/"}, kind: emailClient, name: "Thunderbird"},
	{words: []string{"microsoft outlook", "ms-office", "msoffice", "outlook-ios", "outlook-android", "microsoft office"}, kind: emailClient, name: "Outlook"},
	{words: []string{"airmail"}, kind: emailClient, name: "Airmail"},
	{words: []string{"samsung email", "samsungemail"}, kind: emailClient, name: "Samsung Email"},
	{words: []string{"lotus-notes", "lotus notes"}, kind: emailClient, name: "Notes"},
	{words: []string{"postbox/"}, kind: emailClient, name: "Postbox"},
	{words: []string{"evolution/"}, kind: emailClient, name: "Evolution"},
	{words: []string{"kmail/", "kontact"}, kind: emailClient, name: "KMail"},
	{words: []string{"the bat!"}, kind: emailClient, name: "The Bat!"},
	{words: []string{"emclient"}, kind: emailClient, name: "eM Client"},
	{words: []string{"mail/", "maild/"}, kind: emailClient, name: "Apple Mail", onlyAtBeginOfAll: true},
	// WebKit without the browser around it: that is Apple's Mail, on every device.
	{words: []string{"applewebkit"}, kind: emailClient, name: "Apple Mail",
		withoutAnyOf: []string{"safari/", "chrome/", "crios/", "fxios/", "edgios/", "version/", "android", "gsa/", "windows", "linux"}},

	// Browsers.
	{words: []string{"edg/", "edga/", "edgios/", "edge/"}, kind: browser, name: "Edge"},
	{words: []string{"opr/", "opera", "opios/"}, kind: browser, name: "Opera"},
	{words: []string{"samsungbrowser/"}, kind: browser, name: "Samsung Internet"},
	{words: []string{"vivaldi/"}, kind: browser, name: "Vivaldi"},
	{words: []string{"yabrowser/"}, kind: browser, name: "Yandex Browser"},
	{words: []string{"ucbrowser/"}, kind: browser, name: "UC Browser"},
	{words: []string{"firefox/", "fxios/"}, kind: browser, name: "Firefox"},
	{words: []string{"chrome/", "crios/", "chromium/"}, kind: browser, name: "Chrome"},
	{words: []string{"msie ", "trident/"}, kind: browser, name: "Internet Explorer"},
	{words: []string{"safari/"}, kind: browser, name: "Safari"},
}

// A system is an operating system, and the devices it runs on.
type system struct {
	words        []string
	name, device string
}

func (s system) found(ua string) bool {
	for _, w := range s.words {
		if strings.Contains(ua, w) {
			return true
		}
	}
	return false
}

// systems are looked through in order: Android says Linux too, and an iPhone like Mac OS X.
var systems = []system{
	{[]string{"windows phone"}, "Windows", "mobile"},
	{[]string{"iphone", "ipad", "ipod", "outlook-ios"}, "iOS", "mobile"},
	{[]string{"android"}, "Android", "mobile"},
	{[]string{"windows"}, "Windows", "desktop"},
	{[]string{"mac os x", "macintosh", "macos", "darwin/"}, "macOS", "desktop"},
	{[]string{"cros "}, "ChromeOS", "desktop"},
	{[]string{"linux", "x11"}, "Linux", "desktop"},
}
