package tally

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/store"
)

// A Resolution is the length of a bucket.
type Resolution string

const (
	Hour  Resolution = "hour"
	Day   Resolution = "day"
	Month Resolution = "month"
)

// ParseResolution reads a resolution; empty is a day.
func ParseResolution(s string) (Resolution, error) {
	switch r := Resolution(strings.ToLower(strings.TrimSpace(s))); r {
	case "":
		return Day, nil
	case Hour, Day, Month:
		return r, nil
	}
	return "", errors.New("a resolution is hour, day or month")
}

// Floor returns the beginning of the bucket that t is in.
func (r Resolution) Floor(t time.Time) time.Time {
	t = t.UTC()
	switch r {
	case Hour:
		return t.Truncate(time.Hour)
	case Month:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// Next returns the beginning of the bucket after the one that begins at t.
func (r Resolution) Next(t time.Time) time.Time {
	switch r {
	case Hour:
		return t.Add(time.Hour)
	case Month:
		return t.AddDate(0, 1, 0)
	}
	return t.AddDate(0, 0, 1)
}

// step returns in how many hours the store should sum: days are put together to months here.
func (r Resolution) step() int64 {
	if r == Hour {
		return 1
	}
	return 24
}

// MaxBuckets is how many buckets a window may have where each is shown, empty or not.
const MaxBuckets = 10_000

// A Window is a span of time in buckets. The first bucket has Start in it and the last one End,
// so that both are whole.
type Window struct {
	Start, End time.Time
	Resolution Resolution
}

// Buckets returns the beginnings of the buckets.
func (w Window) Buckets() ([]time.Time, error) {
	var list []time.Time
	for t := w.Resolution.Floor(w.Start); !t.After(w.End); t = w.Resolution.Next(t) {
		if len(list) == MaxBuckets {
			return nil, fmt.Errorf("the time asked for has more than %d parts", MaxBuckets)
		}
		list = append(list, t)
	}
	return list, nil
}

// hours returns the hours of the window, as a SumQuery has them.
func (w Window) hours() (from, to int64) {
	return store.HourOf(w.Resolution.Floor(w.Start)), store.HourOf(w.Resolution.Next(w.Resolution.Floor(w.End)))
}

// Duration returns the length of the window as requests have it.
func (w Window) Duration() string {
	d := w.End.Sub(w.Start)
	if d%(24*time.Hour) == 0 && d > 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	return strconv.FormatInt(max(1, int64((d+time.Hour-1)/time.Hour)), 10) + "h"
}
