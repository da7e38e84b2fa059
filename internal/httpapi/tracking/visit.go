package tracking

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/httpapi/door"
	"github.com/sealpost/sealpost/internal/tracking/visit"
)

// pixel is the smallest image that every program shows: one transparent pixel, GIF 89a.
const pixel = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// visitOf reads a request as a visit.
func visitOf(r *door.Request) visit.Request {
	return visit.Request{
		Host: r.Host, Method: r.Method, UserAgent: r.UserAgent(), Client: r.Client,
		Purpose: strings.Join([]string{r.Header.Get("Sec-Purpose"), r.Header.Get("Purpose"), r.Header.Get("X-Moz")}, " "),
	}
}

// private keeps the address of a link from spreading: it is one recipient's.
func private(w http.ResponseWriter) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Robots-Tag", "noindex, nofollow")
	w.Header().Set("Cache-Control", "no-store, private, max-age=0")
}

// problem gives the errors of visits their answers.
func problem(err error) error {
	switch {
	case errors.Is(err, visit.ErrNoLink):
		return door.NotFound("This link does not exist.")
	case errors.Is(err, visit.ErrTooMany):
		return &door.Problem{Status: http.StatusTooManyRequests, Message: "Too many links that do not exist. Please try again later.", RetryAfter: time.Minute}
	}
	return err
}

// open answers with a transparent image of one pixel, and counts that a message was opened.
func (s *Surface) open(w http.ResponseWriter, r *door.Request) error {
	if err := s.visitor.Open(r.Context(), r.PathValue("link"), visitOf(r)); err != nil {
		return problem(err)
	}
	private(w)
	w.Header().Set("Content-Type", "image/gif")
	w.Header().Set("Content-Length", fmt.Sprint(len(pixel)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(pixel))
	}
	return nil
}

// click leads on to the address that a tracked link stands for, and counts the click. The target
// comes out of the link, which nobody but us could write (SEC-74).
func (s *Surface) click(w http.ResponseWriter, r *door.Request) error {
	u, err := s.visitor.Click(r.Context(), r.PathValue("link"), visitOf(r))
	if err != nil {
		return s.failed(w, problem(err))
	}
	private(w)
	w.Header().Set("Location", asciiURL(u))
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
	return nil
}

// asciiURL encodes what a Location field cannot hold (RFC 3986 section 2.1).
func asciiURL(u string) string {
	var b strings.Builder
	for i := range len(u) {
		if c := u[i]; c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// askToUnsubscribe shows a page that asks whether the recipient wants to unsubscribe. It changes
// nothing: programs follow links too.
func (s *Surface) askToUnsubscribe(w http.ResponseWriter, r *door.Request) error {
	wish, err := s.visitor.Wish(r.Context(), r.PathValue("link"), visitOf(r))
	if err != nil {
		return s.failed(w, problem(err))
	}
	return s.page.reply(w, http.StatusOK, ask(wish))
}

// unsubscribe unsubscribes the recipient of a message, for the button of the page and for one-click
// programs (RFC 8058 section 3.2). What is in the body does not matter: the address says it all.
func (s *Surface) unsubscribe(w http.ResponseWriter, r *door.Request) error {
	wish, err := s.visitor.Unsubscribe(r.Context(), r.PathValue("link"), visitOf(r))
	if err != nil {
		return s.failed(w, problem(err))
	}
	return s.page.reply(w, http.StatusOK, done(wish))
}

// failed shows people that a link is none. Everything else that goes wrong is the door's to say.
func (s *Surface) failed(w http.ResponseWriter, err error) error {
	var p *door.Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return s.page.reply(w, http.StatusNotFound, content{Title: "This link does not exist", Text: "It may have been cut off on its way to you. Please open it again from the message it came with."})
	}
	return err
}
