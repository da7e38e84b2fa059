package submission

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// The budgets of a session (SEC-09). They are on wall time and rate, so that no
// drip of octets keeps one alive.
const (
	commandTimeout = 5 * time.Minute  // one command line, whole (RFC 5321 section 4.5.3.2.7)
	idleBudget     = 10 * time.Minute // without an accepted message, time in DATA aside
	sessionBudget  = 60 * time.Minute
	writeTimeout   = time.Minute // to write what we have to say

	dataWindow = time.Minute
	dataRate   = 1 << 10 // octets per second a message must come in with, on average over a window
)

var (
	errTimeout  = errors.New("session ran out of time")
	errTooSlow  = errors.New("message came in too slowly")
	errShutdown = errors.New("server shuts down")
	errShed     = errors.New("idle session made room for another")
)

// A meter reads from a connection within the session's budgets. One goroutine
// reads; idleSince and interrupt may be called from others.
type meter struct {
	conn  net.Conn
	start time.Time

	fresh   time.Time     // when the last message was accepted, or the session began
	command time.Time     // when the current command line must be complete
	inData  bool          // reading content
	resumed time.Time     // since when
	left    time.Duration // of the current window, counting only time spent waiting
	got     int           // octets in the current window
	grace   bool          // the first window of a message asks for nothing

	mu          sync.Mutex
	message     bool      // in the middle of one: in its content, or between two chunks of it
	idle        time.Time // since when a command is awaited; zero: it is not
	interrupted error
	evenData    bool
}

func newMeter(conn net.Conn) *meter {
	now := time.Now()
	return &meter{conn: conn, start: now, fresh: now}
}

// awaitCommand starts the clock of one command line.
func (m *meter) awaitCommand() {
	now := time.Now()
	m.command = now.Add(commandTimeout)
	m.mu.Lock()
	m.idle = now
	m.mu.Unlock()
}

// gotCommand stops it. Until the next awaitCommand the session is not idle.
func (m *meter) gotCommand() {
	m.mu.Lock()
	m.idle = time.Time{}
	m.mu.Unlock()
}

// beginData starts the clock of a message; endData stops it. accepted tells
// that the session has earned more time.
func (m *meter) beginData() {
	m.left, m.got, m.grace = dataWindow, 0, true
	m.mu.Lock()
	m.message = true
	m.mu.Unlock()
	m.resumeData()
}

// pauseData stops the clock between two chunks of a message, and resumeData lets it go
// on where it stopped: what is left of a window is not given anew, or a drip of tiny chunks
// would be one grace after the other (SEC-10).
func (m *meter) pauseData() {
	m.inData = false
	m.fresh = m.fresh.Add(time.Since(m.resumed)) // time in a message is not idle time
}

func (m *meter) resumeData() { m.inData, m.resumed = true, time.Now() }

func (m *meter) endData(accepted bool) {
	if m.inData {
		m.pauseData()
	}
	if accepted {
		m.fresh = time.Now()
	}
	m.mu.Lock()
	m.message = false
	m.mu.Unlock()
}

// Read implements io.Reader. It may be cut short by a budget or an interruption,
// with one of this file's errors, after which nothing more can be read.
func (m *meter) Read(p []byte) (int, error) {
	for {
		if m.inData && m.left <= 0 {
			if !m.grace && m.got < dataRate*int(dataWindow/time.Second) {
				return 0, errTooSlow
			}
			m.left, m.got, m.grace = dataWindow, 0, false
		}
		now := time.Now()
		deadline := m.deadline(now)
		if !deadline.After(now) {
			return 0, errTimeout
		}
		if err := m.arm(deadline); err != nil {
			return 0, err
		}
		n, err := m.conn.Read(p)
		if m.inData {
			m.left -= time.Since(now)
			m.got += n
		}
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			if why := m.why(); why != nil {
				return 0, why
			}
			if m.inData {
				continue // the window is over; see whether enough came in
			}
			return 0, errTimeout
		}
		return n, err
	}
}

// deadline returns when the current wait must be over.
func (m *meter) deadline(now time.Time) time.Time {
	if m.inData {
		return earliest(now.Add(m.left), m.end())
	}
	return earliest(m.command, m.fresh.Add(idleBudget), m.end())
}

func (m *meter) end() time.Time { return m.start.Add(sessionBudget) }

// arm sets the deadline unless the session was interrupted meanwhile.
func (m *meter) arm(deadline time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stops() {
		return m.interrupted
	}
	return m.conn.SetReadDeadline(deadline)
}

// stops reports whether an interruption applies now. The caller holds mu.
func (m *meter) stops() bool {
	return m.interrupted != nil && (!m.message || m.evenData)
}

func (m *meter) why() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stops() {
		return m.interrupted
	}
	return nil
}

// interrupt makes reads fail with why: at once between messages, and in the
// middle of one only if data is set.
func (m *meter) interrupt(why error, data bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.interrupted == nil {
		m.interrupted = why
	}
	m.evenData = m.evenData || data
	if m.stops() {
		m.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// idleSince tells since when the session waits for a command, if it does. Between two
// chunks of a message it is not idle.
func (m *meter) idleSince() (time.Time, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.idle, !m.idle.IsZero() && !m.message
}

func earliest(t time.Time, more ...time.Time) time.Time {
	for _, u := range more {
		if u.Before(t) {
			t = u
		}
	}
	return t
}

// use changes the connection, from the plain one to its TLS.
func (m *meter) use(conn net.Conn) {
	m.mu.Lock()
	m.conn = conn
	m.mu.Unlock()
}
