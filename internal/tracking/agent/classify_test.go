package agent

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/event"
)

func TestClassify(t *testing.T) {
	tests := []struct {
		name, ua, want string // type/os/device/name/bot
	}{
		{"Apple Mail Privacy Protection", "Mozilla/5.0", "email client/unknown/unknown/Apple Mail/apple"},
		{"Gmail", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "email client/Windows/desktop/Gmail image proxy/gmail"},
		{"Yahoo", "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "email client/unknown/unknown/Yahoo Mail proxy/"},
		{"nothing", "", "unknown/unknown/unknown/unknown/generic"},
		{"blanks", " \t", "unknown/unknown/unknown/unknown/generic"},

		{"Outlook Safe Links", "Mozilla/5.0 (compatible; SafeLinks/1.0)", "robot/unknown/other/Microsoft/generic"},
		{"Office looks whether a link exists", "Microsoft Office Existence Discovery", "robot/unknown/other/Microsoft/generic"},
		{"Bing preview", "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b", "robot/unknown/other/Microsoft/generic"},
		{"Barracuda", "Mozilla/5.0 (compatible; Barracuda Sentinel)", "robot/unknown/other/Barracuda/generic"},
		{"Proofpoint", "Mozilla/5.0 Proofpoint URL Defense", "robot/unknown/other/Proofpoint/generic"},
		{"Mimecast", "Mimecast-URL-Scanner", "robot/unknown/other/Mimecast/generic"},
		{"another gateway", "Symantec-LinkFollowing/3", "robot/unknown/other/Security gateway/generic"},
		{"Slack", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "robot/unknown/other/Slack/generic"},
		{"Slack images", "Slack-ImgProxy (+https://api.slack.com/robots)", "robot/unknown/other/Slack/generic"},
		{"Teams", "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com", "robot/unknown/other/Microsoft/generic"},
		{"Teams by name", "Microsoft Teams/1.0 LinkPreview", "robot/unknown/other/Microsoft Teams/generic"},
		{"Facebook", "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "robot/unknown/other/Facebook/generic"},
		{"WhatsApp", "WhatsApp/2.23.20.0 A", "robot/unknown/other/WhatsApp/generic"},
		{"a crawler", "Mozilla/5.0 (compatible; SomeBot/2.1; +http://example.com/bot.html)", "robot/unknown/other/Robot/generic"},
		{"curl", "curl/8.5.0", "library/unknown/other/HTTP library/generic"},
		{"Go", "Go-http-client/2.0", "library/unknown/other/HTTP library/generic"},
		{"Python", "python-requests/2.31.0", "library/unknown/other/HTTP library/generic"},
		{"headless", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0.0.0 Safari/537.36", "robot/unknown/other/Headless browser/generic"},

		{"Firefox on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "browser/Linux/desktop/Firefox/"},
		{"Chrome on Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", "browser/Windows/desktop/Chrome/"},
		{"Edge", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0", "browser/Windows/desktop/Edge/"},
		{"Opera", "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0 Safari/537.36 OPR/105.0.0.0", "browser/Windows/desktop/Opera/"},
		{"Safari on a Mac", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15", "browser/macOS/desktop/Safari/"},
		{"Safari on an iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1", "mobile browser/iOS/mobile/Safari/"},
		{"Chrome on an iPad", "Mozilla/5.0 (iPad; CPU OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/119.0 Mobile/15E148 Safari/604.1", "mobile browser/iOS/tablet/Chrome/"},
		{"Chrome on Android", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36", "mobile browser/Android/mobile/Chrome/"},
		{"an Android tablet", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36", "mobile browser/Android/tablet/Chrome/"},
		{"Cubot is a telephone", "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0 Mobile Safari/537.36", "mobile browser/Android/mobile/Chrome/"},
		{"Cubot with a blank", "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/100.0 Mobile Safari/537.36", "mobile browser/Android/mobile/Chrome/"},
		{"Chromebook", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0.0.0 Safari/537.36", "browser/ChromeOS/desktop/Chrome/"},
		{"Internet Explorer", "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko", "browser/Windows/desktop/Internet Explorer/"},

		{"Thunderbird", "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.4.1", "email client/Linux/desktop/Thunderbird/"},
		{"Outlook on Windows", "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Win64; x64; Trident/7.0; .NET4.0C; Microsoft Outlook 16.0.17029; ms-office; MSOffice 16)", "email client/Windows/desktop/Outlook/"},
		{"Outlook on iOS", "Outlook-iOS/711.2620504.prod.iphone (4.2345.0)", "email client/iOS/mobile/Outlook/"},
		{"Apple Mail without protection", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", "email client/macOS/desktop/Apple Mail/"},
		{"Apple Mail on an iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 14_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148", "email client/iOS/mobile/Apple Mail/"},
		{"never heard of", "MyReader 1", "unknown/unknown/unknown/unknown/"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Classify(Visit{UserAgent: tt.ua, Method: "GET", Click: true, SinceDelivery: time.Hour})
			got := strings.Join([]string{c.ClientType, c.ClientOS, c.DeviceType, c.ClientName, c.Bot}, "/")
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestVisitsBeforeAnybody(t *testing.T) {
	const person = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"
	tests := []struct {
		name string
		v    Visit
		bot  string
	}{
		{"a click after an hour", Visit{Click: true, SinceDelivery: time.Hour}, ""},
		{"a click at once", Visit{Click: true, SinceDelivery: time.Second}, Generic},
		{"a click in the moment of the delivery", Visit{Click: true}, Generic},
		{"a click after a few seconds", Visit{Click: true, SinceDelivery: tooSoonToClick}, ""},
		{"a click before the delivery is known", Visit{Click: true, SinceDelivery: -1}, ""},
		{"an open at once", Visit{SinceDelivery: time.Second}, ""},
		{"HEAD", Visit{Method: "HEAD", SinceDelivery: time.Hour}, Generic},
		{"prefetch", Visit{Purpose: "prefetch;prerender", SinceDelivery: time.Hour}, Generic},
		{"preview", Visit{Purpose: "Preview", SinceDelivery: time.Hour}, Generic},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.v.UserAgent = person
			if got := Classify(tt.v).Bot; got != tt.bot {
				t.Errorf("got %q, want %q", got, tt.bot)
			}
		})
	}
	if got := Classify(Visit{UserAgent: "Mozilla/5.0", Method: "HEAD"}).Bot; got != Apple {
		t.Errorf("a known bot became %q", got)
	}
}

func TestUserAgentIsCutAndCleaned(t *testing.T) {
	got := Classify(Visit{UserAgent: "a\x1b[31m\xff\r\nb" + strings.Repeat("ü", MaxUserAgent)}).UserAgent
	if len(got) > MaxUserAgent || !strings.HasPrefix(got, "a[31mbü") || !utf8.ValidString(got) {
		t.Errorf("got %q", got)
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "GET", "", true)
	f.Add("\x00\xff", "HEAD", "prefetch", false)
	f.Fuzz(func(t *testing.T, ua, method, purpose string, click bool) {
		c := Classify(Visit{UserAgent: ua, Method: method, Purpose: purpose, Click: click, SinceDelivery: time.Hour})
		if c.ClientType == "" || c.ClientOS == "" || c.DeviceType == "" || c.ClientName == "" {
			t.Fatalf("%q: %+v", ua, c)
		}
		if len(c.UserAgent) > MaxUserAgent || !utf8.ValidString(c.UserAgent) || strings.ContainsAny(c.UserAgent, "\r\n\x00\x1b") {
			t.Fatalf("kept %q", c.UserAgent)
		}
		switch c.Bot {
		case "", Apple, Gmail, Generic:
		default:
			t.Fatalf("bot is %q", c.Bot)
		}
		_ = event.ClientInfo(c)
	})
}
