package tally

import "strings"

// OtherProvider stands for every provider that is not in the table.
const OtherProvider = "other"

// Provider returns the provider of a recipient domain, by the best known of its domains, such
// as gmail.com; OtherProvider if we do not know it. Only the name of the domain counts: a company
// that has its mail at a provider under its own domain is not recognized.
func Provider(domain string) string {
	switch domain {
	case "gmail.com", "googlemail.com", "google.com":
		return "gmail.com"
	case "outlook.com", "live.com", "msn.com", "passport.com", "windowslive.com":
		return "outlook.com"
	case "icloud.com", "me.com", "mac.com":
		return "icloud.com"
	case "aol.com", "aim.com", "verizon.net", "netscape.net", "aol.de", "aol.fr", "aol.co.uk":
		return "aol.com"
	case "gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.com", "gmx.org", "gmx.fr", "gmx.co.uk":
		return "gmx.net"
	case "web.de", "email.de":
		return "web.de"
	case "t-online.de", "magenta.de":
		return "t-online.de"
	case "yandex.com", "yandex.ru", "ya.ru", "yandex.ua", "yandex.kz", "yandex.by":
		return "yandex.com"
	case "mail.ru", "inbox.ru", "list.ru", "bk.ru", "internet.ru":
		return "mail.ru"
	case "proton.me", "protonmail.com", "protonmail.ch", "pm.me":
		return "proton.me"
	case "fastmail.com", "fastmail.fm":
		return "fastmail.com"
	case "comcast.net", "xfinity.com":
		return "comcast.net"
	case "orange.fr", "wanadoo.fr":
		return "orange.fr"
	case "qq.com", "foxmail.com", "vip.qq.com":
		return "qq.com"
	case "163.com", "126.com", "yeah.net":
		return "163.com"
	case "zoho.com", "zohomail.com", "zohomail.eu":
		return "zoho.com"
	case "ymail.com", "rocketmail.com":
		return "yahoo.com"
	case "tutanota.com", "tutanota.de", "tuta.io", "tuta.com", "tutamail.com", "keemail.me":
		return "tuta.com"
	case "posteo.de", "posteo.net":
		return "posteo.de"
	case "mailbox.org", "free.fr", "laposte.net", "sfr.fr", "libero.it", "naver.com", "att.net", "cox.net", "charter.net", "btinternet.com", "seznam.cz", "wp.pl":
		return domain
	}
	// Those with one domain for each country.
	switch name, _, _ := strings.Cut(domain, "."); {
	case name == "yahoo" && strings.Count(domain, ".") <= 2:
		return "yahoo.com"
	case (name == "hotmail" || name == "outlook" || name == "live") && strings.Count(domain, ".") <= 2:
		return "outlook.com"
	}
	return OtherProvider
}

// ProviderName returns the name of a provider as people know it; its domain if it has none.
func ProviderName(provider string) string {
	switch provider {
	case "gmail.com":
		return "Gmail"
	case "outlook.com":
		return "Outlook"
	case "yahoo.com":
		return "Yahoo"
	case "icloud.com":
		return "iCloud"
	case "aol.com":
		return "AOL"
	case "gmx.net":
		return "GMX"
	case "web.de":
		return "WEB.DE"
	case "t-online.de":
		return "T-Online"
	case "yandex.com":
		return "Yandex"
	case "mail.ru":
		return "Mail.ru"
	case "proton.me":
		return "Proton"
	case "fastmail.com":
		return "Fastmail"
	case "comcast.net":
		return "Comcast"
	case "orange.fr":
		return "Orange"
	case "qq.com":
		return "QQ"
	case "163.com":
		return "NetEase"
	case "zoho.com":
		return "Zoho"
	case "tuta.com":
		return "Tuta"
	case OtherProvider:
		return "Other"
	}
	return provider
}
