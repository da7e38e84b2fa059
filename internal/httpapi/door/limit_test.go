package door

import (
	"errors"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimit(2, 10*time.Second)
		try := func(account int64) (*httptest.ResponseRecorder, error) {
			w := httptest.NewRecorder()
			return w, l.Count(w, &Request{Who: Principal{AccountID: account}})
		}
		for i, left := range []string{"1", "0"} {
			w, err := try(1)
			reset, _ := strconv.ParseInt(w.Header().Get("X-RateLimit-Reset"), 10, 64)
			if err != nil || w.Header().Get("X-RateLimit-Remaining") != left || time.Until(time.UnixMilli(reset)) > 10*time.Second || !time.UnixMilli(reset).After(time.Now()) {
				t.Errorf("request %d: %v, %v", i, w.Header(), err)
			}
		}
		var p *Problem
		if _, err := try(1); !errors.As(err, &p) || p.Status != 429 || p.RetryAfter <= 0 {
			t.Errorf("the third: %v", err)
		}
		if _, err := try(2); err != nil {
			t.Errorf("another account: %v", err)
		}
		time.Sleep(10 * time.Second)
		if _, err := try(1); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}
