package compose

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const inner = "From: Ann <ann@example.com>\r\nTo: %recipient%\r\nX-Mailgun-Tag: inner\r\n\r\nHello\r\n--not a boundary\r\n--b c\r\n\r\nbye\r\n"

// wrap is a message of type multipart/mailgun-variables as the manual shows it.
func wrap(json, message string) string {
	return "Content-Type: Multipart/Mailgun-Variables; boundary=\"b\"\r\nMIME-Version: 1.0\r\nX-Mailgun-Tag: outer\r\nFrom: x@example.com\r\n\r\npreamble\r\n" +
		"--b\r\nContent-Type: application/json\r\nContent-Transfer-Encoding: base64\r\n\r\n" + json + "\r\n--b  \r\nContent-Type: message/rfc822\r\n\r\n" + message + "\r\n--b--\r\nepilogue\r\n"
}

const encoded = "eyJhbm5AZXhhbXBsZS5vcmciOiB7\r\nImEiOiAxfX0="

func unwrap(octets string, door Door) (string, string, error) {
	u, err := Unwrap(iotest.OneByteReader(strings.NewReader(octets)), door, 100)
	if err != nil {
		return "", "", err
	}
	defer u.Close()
	message, err := io.ReadAll(u)
	return string(message), u.Variables, err
}

func TestUnwrap(t *testing.T) {
	wrapped := wrap(encoded, inner)
	want := "X-Mailgun-Tag: outer\r\n" + inner
	for name, octets := range map[string]string{
		"as the manual shows it": wrapped,
		"JSON in the clear":      strings.Replace(strings.Replace(wrapped, encoded, `{"ann@example.org": {"a": 1}}`, 1), "base64", "8bit", 1),
		"long header before":     "X-Long: " + strings.Repeat("x", 5000) + "\r\n" + wrapped,
		"folded type":            strings.Replace(wrapped, "Variables; boundary", "Variables;\r\n boundary", 1),
	} {
		got, variables, err := unwrap(octets, Submission)
		if err != nil || got != want || variables != `{"ann@example.org": {"a": 1}}` {
			t.Errorf("%s: %q with %q, %v", name, got, variables, err)
		}
	}
	if got, variables, err := unwrap(strings.ReplaceAll(wrapped, "\r\n", "\n"), API); err != nil || got != want || variables == "" {
		t.Errorf("with LF: %q with %q, %v", got, variables, err)
	}
}

// Everything else comes out as it came in.
func TestUnwrapLeavesOthersAlone(t *testing.T) {
	for _, octets := range []string{
		"", "x", "From: ann@example.com\r\n\r\nx\r\n", "Subject: multipart/mailgun-variables\r\nFrom: ann@example.com\r\n\r\n" + wrap(encoded, inner),
		"Content-Type: multipart/mixed; boundary=multipart/mailgun-variables\r\n\r\n", "X: " + strings.Repeat("x", 200_000), "bare\rCR \x00\n\r\n\r\n",
	} {
		if got, variables, err := unwrap(octets, Submission); err != nil || got != octets || variables != "" {
			t.Errorf("%.80q gives %.80q with %q, %v", octets, got, variables, err)
		}
	}
}

func TestUnwrapRefuses(t *testing.T) {
	wrapped := wrap(encoded, inner)
	for name, octets := range map[string]string{
		"not closed":             strings.TrimSuffix(wrapped, "--b--\r\nepilogue\r\n"),
		"one part":               strings.Replace(wrapped, "\r\n--b  \r\n", "\r\n--b--\r\n", 1),
		"three parts":            strings.Replace(wrapped, "--b--", "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--", 1),
		"no part":                strings.Replace(wrapped, "--b\r\n", "--b--\r\n", 1),
		"JSON of another type":   strings.Replace(wrapped, "application/json", "text/plain", 1),
		"no JSON":                strings.Replace(wrapped, encoded, "", 1),
		"a message that is none": strings.Replace(wrapped, "message/rfc822", "text/plain", 1),
		"an encoded message":     strings.Replace(wrapped, "message/rfc822", "message/rfc822\r\nContent-Transfer-Encoding: base64", 1),
		"too many variables":     wrap(strings.Repeat(encoded[:28], 10), inner),
		"a bare LF within":       strings.Replace(wrapped, "Hello\r\n", "Hello\n", 1),
		"a bare LF in the JSON":  strings.Replace(wrapped, "7\r\nIm", "7\nIm", 1),
		"no boundary":            strings.Replace(wrapped, "boundary", "border", 1),
		"type far behind":        "X-Long: " + strings.Repeat("x", 60_000) + "\r\nX-Long: " + strings.Repeat("x", 60_000) + "\r\n" + wrapped,
	} {
		t.Run(name, func(t *testing.T) {
			u, err := Unwrap(strings.NewReader(octets), Submission, 100)
			if err == nil {
				defer u.Close()
				_, err = Inspect(u, Submission)
			}
			if r, ok := errors.AsType[*Refusal](err); !ok || r.Enhanced != "5.6.0" {
				t.Errorf("got %v", err)
			}
		})
	}
	broken := errors.New("connection broke")
	for _, n := range []int{10, 300, 400, len(wrapped) - 1} {
		u, err := Unwrap(io.MultiReader(strings.NewReader(wrapped[:n]), iotest.ErrReader(broken)), Submission, 100)
		if err == nil {
			_, err = io.Copy(io.Discard, u)
			u.Close()
		}
		if !errors.Is(err, broken) {
			t.Errorf("after %d octets: %v", n, err)
		}
	}
}

// What comes out has an end where the wrapping had one, and wrapping it again gives the same.
func FuzzUnwrap(f *testing.F) {
	f.Add(wrap(encoded, inner))
	f.Add(strings.Replace(wrap(encoded, inner), "--b--", "--b", 1))
	f.Add("Content-Type: multipart/mailgun-variables; boundary=b\r\n\r\n--b\r\n--b--")
	f.Fuzz(func(t *testing.T, octets string) {
		got, variables, err := unwrap(octets, Submission)
		if err != nil || variables == "" {
			if err == nil && got != octets {
				t.Errorf("%q gives %q", octets, got)
			}
			return
		}
		if len(variables) > 100 || len(got) > len(octets) || strings.Contains(strings.ReplaceAll(got, "\r\n", ""), "\n") {
			t.Errorf("%q gives %q with %q", octets, got, variables)
		}
		again := fmt.Sprintf("Content-Type: multipart/mailgun-variables; boundary=%[1]s\r\n\r\n--%[1]s\r\nContent-Type: application/json\r\n\r\n%[2]s\r\n--%[1]s\r\nContent-Type: message/rfc822\r\n\r\n%[3]s\r\n--%[1]s--\r\n",
			"a-boundary-that-nobody-has", variables, got)
		if second, _, err := unwrap(again, Submission); err != nil || second != got {
			if strings.TrimSpace(variables) == variables && !strings.ContainsAny(variables, "\r\n\x00") {
				t.Errorf("%q wrapped again gives %q, %v", got, second, err)
			}
		}
	})
}
