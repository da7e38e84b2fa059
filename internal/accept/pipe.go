package accept

import "io"

// A teeReader copies what is read to w and remembers an error of w, so that it is
// not taken for the reader's.
type teeReader struct {
	r   io.Reader
	w   io.Writer
	err error
}

func (t *teeReader) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.r.Read(p)
	if n > 0 {
		if _, werr := t.w.Write(p[:n]); werr != nil {
			t.err = werr
			return 0, werr
		}
	}
	return n, err
}

// A teeWriter writes everything to a and to b and remembers their error.
type teeWriter struct {
	a, b io.Writer
	err  error
}

func (t *teeWriter) Write(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	for _, w := range [...]io.Writer{t.a, t.b} {
		if n, err := w.Write(p); err != nil {
			t.err = err
			return n, err
		}
	}
	return len(p), nil
}
