package report_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/internal/tlsrpt/report"
)

func TestParseRecord(t *testing.T) {
	tests := []struct {
		name    string
		texts   []string
		want    string // destinations with spaces between them; none: an error
		problem string // part of the error
	}{
		{"mailto, as in the RFC", []string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, "reports@example.com", ""},
		{"https, with spaces", []string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, "https://reporting.example.com/v1/tlsrpt", ""},
		{"several, one field", []string{"v=TLSRPTv1; rua=mailto:a@example.com , https://example.com/r,mailto:b@example.com;"}, "a@example.com https://example.com/r b@example.com", ""},
		{"several fields", []string{"v=TLSRPTv1;rua=mailto:a@example.com;rua=mailto:b@example.com"}, "a@example.com b@example.com", ""},
		{"the same twice", []string{"v=TLSRPTv1;rua=mailto:a@example.com,mailto:a@example.com"}, "a@example.com", ""},
		{"percent-encoding", []string{"v=TLSRPTv1;rua=mailto:a%2Bb%21c@example.com"}, "a+b!c@example.com", ""},
		{"a scheme in capitals", []string{"v=TLSRPTv1;rua=MAILTO:a@example.com"}, "a@example.com", ""},
		{"extensions are ignored", []string{"v=TLSRPTv1;ext=1;rua=mailto:a@example.com;other=x"}, "a@example.com", ""},
		{"header fields of mailto are ignored", []string{"v=TLSRPTv1;rua=mailto:a@example.com?subject=hi&bcc=x@example.net"}, "a@example.com", ""},
		{"one usable is enough", []string{"v=TLSRPTv1;rua=ftp://x/,mailto:,mailto:a@example.com"}, "a@example.com", ""},
		{"a port", []string{"v=TLSRPTv1;rua=https://example.com:8443/r?x=1#part"}, "https://example.com:8443/r?x=1", ""},
		{"other records beside it", []string{"hello", "v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@example.com", "v=TLSRPTv2;rua=mailto:b@example.com"}, "a@example.com", ""},

		{"nothing", nil, "", "no TLSRPT record"},
		{"another text", []string{"hello"}, "", "no TLSRPT record"},
		{"the version alone", []string{"v=TLSRPTv1"}, "", "no TLSRPT record"},
		{"the version in small letters", []string{"v=tlsrptv1;rua=mailto:a@example.com"}, "", "no TLSRPT record"},
		{"something before the version", []string{" v=TLSRPTv1;rua=mailto:a@example.com"}, "", "no TLSRPT record"},
		{"two records", []string{"v=TLSRPTv1;rua=mailto:a@example.com", "v=TLSRPTv1;rua=mailto:b@example.com"}, "", "there are 2 of them"},
		{"no rua", []string{"v=TLSRPTv1;"}, "", "has no rua"},
		{"rua with spaces inside", []string{"v=TLSRPTv1;rua = mailto:a@example.com"}, "", "has no rua"},
		{"an unknown scheme", []string{"v=TLSRPTv1;rua=http://example.com/"}, "", "neither mailto nor https"},
		{"no scheme", []string{"v=TLSRPTv1;rua=a@example.com"}, "", "no scheme"},
		{"two addresses in one URI", []string{"v=TLSRPTv1;rua=mailto:a@example.com%2Cb@example.com"}, "", "exactly one address"},
		{"broken percent-encoding", []string{"v=TLSRPTv1;rua=mailto:a%zz@example.com"}, "", "broken percent-encoding"},
		{"line ends in the address", []string{"v=TLSRPTv1;rua=mailto:a%0d%0abcc:x@example.com"}, "", "exactly one address"},
		{"a login in the URL", []string{"v=TLSRPTv1;rua=https://a:b@example.com/"}, "", "holds a login"},
		{"no host", []string{"v=TLSRPTv1;rua=https:///x"}, "", "cannot be read"},
		{"not ASCII", []string{"v=TLSRPTv1;rua=mailto:ä@example.com"}, "", "must be percent-encoded"},
		{"too long", []string{"v=TLSRPTv1;rua=mailto:a@example.com;x=" + strings.Repeat("x", 5000)}, "", "octets"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := report.ParseRecord(test.texts)
			if show(got) != test.want {
				t.Errorf("got %q, want %q (%v)", show(got), test.want, err)
			}
			if test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)) || test.problem == "" && err != nil {
				t.Errorf("error %v, want %q", err, test.problem)
			}
			if none := strings.Contains(test.problem, "no TLSRPT record") || strings.Contains(test.problem, "of them"); none != errors.Is(err, report.ErrNoRecord) {
				t.Errorf("error %v: ErrNoRecord is %v", err, !none)
			}
		})
	}
}

func TestManyDestinationsAreCut(t *testing.T) {
	record := "v=TLSRPTv1;rua=mailto:a@example.com"
	for i := range 50 {
		record += ",https://example.com/" + strings.Repeat("x", i)
	}
	got, err := report.ParseRecord([]string{record})
	if err != nil || len(got) != 8 {
		t.Errorf("%d destinations, %v", len(got), err)
	}
}

// show lists destinations by what would be contacted.
func show(list []report.Destination) string {
	var words []string
	for _, d := range list {
		if d.URL != nil {
			words = append(words, d.URL.String())
		} else {
			words = append(words, d.Mail.String())
		}
	}
	return strings.Join(words, " ")
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=TLSRPTv1;rua=mailto:a%2Bb@example.com,https://example.com/x?y#z", "")
	f.Add("v=TLSRPTv1 ; rua=mailto:a@example.com ,; x=y", "v=TLSRPTv1;")
	f.Fuzz(func(t *testing.T, a, b string) {
		list, err := report.ParseRecord([]string{a, b})
		if (err == nil) != (len(list) > 0) {
			t.Fatalf("%d destinations and %v", len(list), err)
		}
		for _, d := range list {
			if (d.URL == nil) == d.Mail.IsZero() {
				t.Fatalf("%q is both or none", d.URI)
			}
			if d.URL != nil && (d.URL.Scheme != "https" || d.URL.Hostname() == "" || d.URL.User != nil) {
				t.Fatalf("%q became %v", d.URI, d.URL)
			}
		}
	})
}
