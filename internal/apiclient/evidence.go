package apiclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// EvidenceKeys are the verifier keys of the server's evidence.
type EvidenceKeys struct {
	Key  string   `json:"key"`  // the current one
	Keys []string `json:"keys"` // all that ever signed, newest first
}

// EvidenceKeys shows the verifier keys.
func (c *Client) EvidenceKeys(ctx context.Context) (Answer[EvidenceKeys], error) {
	return do[EvidenceKeys](ctx, c, call{method: http.MethodGet, path: []string{"v1", "sealpost", "evidence", "key"}})
}

// RotateEvidenceKey makes a new key current.
func (c *Client) RotateEvidenceKey(ctx context.Context) (Answer[EvidenceKeys], error) {
	return do[EvidenceKeys](ctx, c, call{method: http.MethodPost, path: []string{"v1", "sealpost", "evidence", "key"}})
}

// ExportEvidence copies an export of evidence to w, for as long as it takes. After an error w
// has an export that does not verify. Errors of w are returned as they are.
func (c *Client) ExportEvidence(ctx context.Context, query url.Values, w io.Writer) error {
	r, err := c.request(ctx, call{method: http.MethodGet, path: []string{"v1", "sealpost", "evidence"}, query: query})
	if err != nil {
		return err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return &Unreachable{c.target, err}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	from := &reader{r: resp.Body}
	if _, err = io.Copy(w, from); err == nil {
		return nil
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case from.err != nil:
		return &Unreachable{c.target, fmt.Errorf("the export broke off: %w", from.err)}
	}
	return err
}

// A reader remembers its error, so that it is not taken for one of the other side.
type reader struct {
	r   io.Reader
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
